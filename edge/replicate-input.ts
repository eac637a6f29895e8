/** From the `input` of a prediction to the request that every surface draws with, and back for what is said about it. */
import { ServiceError } from '#shared/errors.ts';
import type { JsonObject } from '#shared/json.ts';
import { SIDE_MAX, SIDE_MIN, SIDE_MULTIPLE } from '#shared/limits.ts';
import type { GenerateRequest } from '#shared/schemas/generate.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import { type ReplicateInput, replicateInput } from '#shared/schemas/replicate.ts';
import { parseRequest } from './parse-request.ts';

/** Names of the planned request, and what callers of predictions call them. */
const NAMES: Readonly<Record<string, string>> = {
  n: 'num_outputs',
  output_compression: 'output_quality',
};

/** @throws {ServiceError} naming the member as `input.…` */
export function parseReplicateInput(
  input: JsonObject,
  model: ModelInfo,
): { request: GenerateRequest; unknownNames: readonly string[] } {
  const parsed = underInput(() => parseRequest(replicateInput, input));
  const unknownNames = Object.keys(input).filter(
    (name) => !Object.hasOwn(replicateInput.shape, name),
  );
  return { request: toGenerateRequest(parsed, model), unknownNames };
}

/** Runs what complains about a request, and names members as they are called in `input`. */
export function underInput<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof ServiceError) || error.param === undefined) throw error;
    const { code, param, detail } = error;
    const name = NAMES[param] ?? param;
    throw new ServiceError(code, {
      param: `input.${name}`,
      detail: detail.replaceAll(param, name),
      cause: error,
    });
  }
}

function toGenerateRequest(input: ReplicateInput, model: ModelInfo): GenerateRequest {
  const {
    aspect_ratio: ratio,
    num_outputs: n,
    output_quality: quality,
    disable_safety_checker: _,
    size,
    ...rest
  } = input;
  const isPng = (rest.output_format ?? 'png') === 'png';
  const isSized = (size ?? 'auto') !== 'auto' || typeof rest.width === 'number';
  return {
    ...rest,
    // A size given twice is one too many elsewhere; models there take the first of these three.
    ...((size ?? 'auto') !== 'auto' && { size, width: null, height: null }),
    ...(typeof ratio === 'string' && !isSized && { size: sizeOf(ratio, model) }),
    n,
    model: model.id,
    // Callers name a quality whatever the format; png has none.
    output_compression: isPng ? null : quality,
    response_format: 'url',
  };
}

/** A size of this ratio with about as many pixels as the model's native one. */
function sizeOf(ratio: string, { native_size: [nativeWidth, nativeHeight] }: ModelInfo): string {
  const [across = 1, down = 1] = ratio.split(':').map(Number);
  const width = Math.sqrt((nativeWidth * nativeHeight * across) / down);
  return [width, (width * down) / across].map(toSide).join('x');
}

function toSide(pixels: number): number {
  const side = Math.round(pixels / SIDE_MULTIPLE) * SIDE_MULTIPLE;
  return Math.min(Math.max(side, SIDE_MIN), SIDE_MAX);
}
