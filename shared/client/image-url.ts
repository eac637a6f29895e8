/** URLs that stand in an `<img>` by themselves: pictures by their digest, and pictures by their prompt. */
import type { ImageFormat } from './types.ts';

export interface VariantOptions {
  /** Default `png`. Another than the original's asks for a variant. */
  readonly format?: ImageFormat | undefined;
  /** Pixels, at most 2,048; never enlarged. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  /** With both of them: `contain` (default) shows all of it, `cover` fills the box and cuts off what is outside. */
  readonly fit?: 'contain' | 'cover' | undefined;
  /** 1–100, for jpeg and webp. */
  readonly quality?: number | undefined;
}

export interface PromptUrlOptions {
  readonly model?: string | undefined;
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly seed?: number | undefined;
  readonly negative_prompt?: string | undefined;
  readonly steps?: number | undefined;
  readonly guidance_scale?: number | undefined;
  readonly format?: ImageFormat | undefined;
  /** 1–100, for jpeg and webp. */
  readonly quality?: number | undefined;
  /** A publishable key, for URLs that are not signed. */
  readonly key?: string | undefined;
}

const EXTENSIONS = { png: 'png', jpeg: 'jpg', webp: 'webp' } as const;

/** `{origin}/i/{id}.{ext}`, with the parameters of a variant in the order in which the server normalises them. */
export function buildImageUrl(origin: string, id: string, options: VariantOptions = {}): string {
  const { format = 'png', width, height, fit, quality } = options;
  return `${origin}/i/${id}.${EXTENSIONS[format]}${toQuery({ fit, h: height, q: quality, w: width })}`;
}

/**
 * `{origin}/prompt/{text}`: drawn when it is asked for the first time, and the same picture ever after.
 *
 * @throws {RangeError} for `.` and `..`, which no spelling keeps in a path
 */
export function buildPromptUrl(
  origin: string,
  prompt: string,
  options: PromptUrlOptions = {},
): string {
  if (prompt === '.' || prompt === '..') throw new RangeError(`${prompt} cannot stand in a URL`);
  const { format, quality, ...rest } = options;
  return `${origin}/prompt/${encodeURIComponent(prompt)}${toQuery({ ...rest, fm: format, q: quality })}`;
}

/** Sorted by name; what is absent is left out. */
function toQuery(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const query = Object.entries(parameters)
    .filter((entry): entry is [string, string | number] => entry[1] !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');
  return query === '' ? '' : `?${query}`;
}
