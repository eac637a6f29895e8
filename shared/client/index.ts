/** The SDK: what `import … from 'pixart-edge'` brings. */
export type { CallOptions } from './call.ts';
export {
  type ClientOptions,
  type EditRequest,
  type GenerateOptions,
  type GenerateResult,
  type ImageInput,
  type ImageRequest,
  PixartEdge,
} from './client.ts';
export {
  ApiError,
  type ApiErrorFields,
  AuthenticationError,
  BadRequestError,
  ConnectionError,
  DigestMismatchError,
  InvalidResponseError,
  PermissionError,
  PixartError,
  type PixartErrorOptions,
  RateLimitError,
  ServerError,
  StreamTruncatedError,
  TimeoutError,
} from './errors.ts';
export { GeneratedImage, type GeneratedImageFields } from './generated-image.ts';
export type {
  GenerationStream,
  ImageEvent,
  PreviewEvent,
  StreamEvent,
} from './generation-stream.ts';
export type { PromptUrlOptions, VariantOptions } from './image-url.ts';
export type {
  CompletedEvent,
  ErrorCode,
  GenerateRequest,
  ImageFormat,
  ImagesResponse,
  ModelInfo,
  PartialImageEvent,
} from './types.ts';
