/**
 * What crosses the wire, as the schemas of the service have it.
 *
 * Types only: nothing of the schemas is in the SDK. `npm run build:sdk` writes them out in full (`scripts/sdk/wire-types.ts`), so
 * that the package needs no other one.
 */
export type { ErrorCode } from '../errors.ts';
export type { CompletedEvent, PartialImageEvent } from '../schemas/event.ts';
export type { ImageFormat } from '../schemas/fields.ts';
export type { GenerateRequest } from '../schemas/generate.ts';
export type { ImagesResponse } from '../schemas/image.ts';
export type { ModelInfo } from '../schemas/model.ts';
