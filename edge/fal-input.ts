/** From the input of fal's image apps to that of a prediction. */
import { ServiceError } from '#shared/errors.ts';
import type { JsonObject } from '#shared/json.ts';
import { SIDE_MAX, SIDE_MIN, SIDE_MULTIPLE } from '#shared/limits.ts';
import { FAL_SIZES, falInput } from '#shared/schemas/fal.ts';
import { parseRequest } from './parse-request.ts';

/** What fal calls otherwise; the same for messages about them, the other way round. */
const NAMES: Readonly<Record<string, string>> = { num_outputs: 'num_images', size: 'image_size' };

export interface FalRequest {
  readonly input: JsonObject;
  /** Pictures as data URIs in the answer. */
  readonly syncMode: boolean;
}

/** @throws {ServiceError} naming the member */
export function parseFalInput(body: JsonObject): FalRequest {
  const parsed = parseRequest(falInput, body);
  const {
    image_size: size,
    num_images: count,
    format,
    sync_mode: syncMode,
    enable_safety_checker: _,
    ...rest
  } = parsed;
  const input: JsonObject = {
    ...rest,
    ...(typeof count === 'number' && { num_outputs: count }),
    ...(size != null && { size: toSize(size) }),
    ...(format != null && { output_format: rest.output_format ?? format }),
  };
  return { input, syncMode: syncMode === true };
}

/** Runs what complains about a prediction, and names members as fal does. */
export async function underFalInput<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ServiceError) || !error.param?.startsWith('input.')) throw error;
    const param = error.param.slice('input.'.length);
    const name = NAMES[param] ?? param;
    throw new ServiceError(error.code, {
      param: name,
      detail: error.detail.replaceAll(param, name),
      cause: error,
    });
  }
}

/** fal's sizes may have any side; ours are multiples of 16. */
function toSize(size: keyof typeof FAL_SIZES | { width: number; height: number }): string {
  const [width, height] =
    typeof size === 'string' ? FAL_SIZES[size] : [size.width, size.height].map(toSide);
  return `${width}x${height}`;
}

function toSide(pixels: number): number {
  const side = Math.round(pixels / SIDE_MULTIPLE) * SIDE_MULTIPLE;
  return Math.min(Math.max(side, SIDE_MIN), SIDE_MAX);
}
