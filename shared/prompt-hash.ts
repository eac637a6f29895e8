/**
 * Same request → same bytes → same SHA-256 cache key.
 *
 * The object that is hashed is closed and has every default filled in: it holds all that changes pixels or bytes of the
 * picture, and nothing else. Fractions are keyed as integers, so that no spelling of a number matters.
 */
import { encodeHex, sha256 } from './hex.ts';
import type { ImageFormat } from './schemas/fields.ts';

/** Raised whenever the same input would draw other pixels without a change of the bundle. */
export const PIPELINE_REVISION = 1;

/** A picture that can be drawn, without its seed. */
export interface UnseededGeneration {
  /** NFC, trimmed, see `prompt.ts`. */
  readonly prompt: string;
  /** Empty where guidance is 0. */
  readonly negative_prompt: string;
  readonly width: number;
  readonly height: number;
  readonly num_inference_steps: number;
  /** Hundredths; 0 means none. */
  readonly guidance_hundredths: number;
  readonly scheduler: string;
  readonly model: string;
  /** Revision of the bundle, 64 hexadecimal digits. */
  readonly revision: string;
  readonly numeric_class: string;
  readonly output_format: ImageFormat;
  /** 1–100; 100 for png. */
  readonly output_quality: number;
  readonly background: 'opaque' | 'transparent';
  /** What is written into the file. */
  readonly metadata: 'minimal' | 'full';
  /** Name of a prompt template; absent where there is none. */
  readonly style?: string;
  /** Who shares it: `public` or `account:{id}`. */
  readonly partition: string;
}

export interface Generation extends UnseededGeneration {
  /** Unsigned 32-bit integer. */
  readonly seed: number;
}

/** Cache key of one picture: SHA-256("imgkey/1" 00 canonical JSON), 64 hexadecimal digits. */
export async function promptHash(generation: Generation): Promise<string> {
  const { seed } = generation;
  return encodeHex(await sha256(`imgkey/1\0${canonicalJson({ ...keyed(generation), seed })}`));
}

/**
 * Seed of a request that names none: equal requests get equal seeds.
 *
 * First four bytes, big-endian, of SHA-256("pixart-edge/seed/1" 00 canonical JSON without the seed).
 */
export async function deriveSeed(generation: UnseededGeneration): Promise<number> {
  const digest = await sha256(`pixart-edge/seed/1\0${canonicalJson({ ...keyed(generation) })}`);
  return new DataView(digest.buffer).getUint32(0);
}

/** The hashed members, picked one by one: what a caller adds to the object cannot reach the key. */
function keyed(generation: UnseededGeneration): UnseededGeneration & { pipeline: number } {
  return {
    pipeline: PIPELINE_REVISION,
    prompt: generation.prompt,
    negative_prompt: generation.negative_prompt,
    width: generation.width,
    height: generation.height,
    num_inference_steps: generation.num_inference_steps,
    guidance_hundredths: generation.guidance_hundredths,
    scheduler: generation.scheduler,
    model: generation.model,
    revision: generation.revision,
    numeric_class: generation.numeric_class,
    output_format: generation.output_format,
    output_quality: generation.output_quality,
    background: generation.background,
    metadata: generation.metadata,
    ...(generation.style !== undefined && { style: generation.style }),
    partition: generation.partition,
  };
}

/**
 * JSON with sorted members and no white space. Only what has one spelling: strings that are well-formed, safe integers,
 * booleans, null, arrays and plain objects.
 *
 * @throws {TypeError} on anything else
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new TypeError('a lone surrogate has no canonical form');
    return JSON.stringify(value);
  }
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is not a safe integer`);
    return String(value + 0);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object') {
    const members = Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => `${canonicalJson(name)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  throw new TypeError(`a ${typeof value} has no canonical form`);
}
