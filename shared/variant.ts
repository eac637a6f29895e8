/**
 * Another form of a stored picture: smaller, of another format or quality. One spelling for each.
 *
 *     w, h   1–2,048 pixels: the box that it has to fit into; never enlarged
 *     fit    with both of them: contain (default) shows all of it, cover fills the box and cuts off what is outside
 *     q      1–100, jpeg and webp; default 80
 *
 * The format comes from the extension of the path. Unknown names are ignored.
 */
import { ServiceError } from './errors.ts';
import { sha256Hex } from './hex.ts';
import { SIDE_MAX } from './limits.ts';
import { IMAGE_FORMATS, type ImageFormat, showValue } from './schemas/fields.ts';

export const FITS = ['contain', 'cover'] as const;
export type Fit = (typeof FITS)[number];

export interface Variant {
  readonly format: ImageFormat;
  /** Pixels at most. */
  readonly width?: number;
  readonly height?: number;
  /** Only where there are both. */
  readonly fit?: Fit;
  /** 1–100; only for jpeg and webp. */
  readonly quality?: number;
}

export const VARIANT_QUALITY_DEFAULT = 80;

/** @throws {ServiceError} `invalid_query`, naming the parameter and its limit */
export function parseVariant(format: ImageFormat, query: URLSearchParams): Variant {
  const width = readInteger(query, 'w', SIDE_MAX);
  const height = readInteger(query, 'h', SIDE_MAX);
  const fit = readFit(query);
  const quality = readInteger(query, 'q', 100);
  return {
    format,
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    ...(width !== undefined && height !== undefined && { fit: fit ?? 'contain' }),
    ...(format !== 'png' && { quality: quality ?? VARIANT_QUALITY_DEFAULT }),
  };
}

/** Whether the query asks for anything but the file as it is. */
export function asksForVariant(query: URLSearchParams): boolean {
  return ['w', 'h', 'fit', 'q'].some((name) => query.has(name));
}

/** The one spelling of a variant, in a query: names in order, nothing that has no effect. */
export function variantQuery({ format, width, height, fit, quality }: Variant): string {
  const members = { fit, format, h: height, q: quality, w: width };
  return Object.entries(members)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** The variant that `variantQuery` wrote. @throws {ServiceError} `invalid_query` */
export function parseVariantQuery(query: URLSearchParams): Variant {
  const format = IMAGE_FORMATS.find((each) => each === query.get('format'));
  if (format === undefined) throw invalid('format', `must be one of ${IMAGE_FORMATS.join(', ')}`);
  return parseVariant(format, query);
}

/** Names a variant beside the digest of its original: 8 hexadecimal digits. */
export async function variantTag(variant: Variant): Promise<string> {
  return (await sha256Hex(`variant/1\0${variantQuery(variant)}`)).slice(0, 8);
}

function readInteger(query: URLSearchParams, name: string, max: number): number | undefined {
  const text = readOnce(query, name);
  if (text === undefined) return undefined;
  const value = /^[1-9]\d{0,3}$/.test(text) ? Number(text) : Number.NaN;
  if (value <= max) return value;
  throw invalid(name, `must be an integer from 1 to ${max}, not ${showValue(text)}`);
}

function readFit(query: URLSearchParams): Fit | undefined {
  const text = readOnce(query, 'fit');
  if (text === undefined) return undefined;
  const fit = FITS.find((each) => each === text);
  if (fit === undefined) {
    throw invalid('fit', `must be one of ${FITS.join(', ')}, not ${showValue(text)}`);
  }
  return fit;
}

function readOnce(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name);
  if (values.length > 1) throw invalid(name, 'must not come twice');
  return values[0];
}

function invalid(name: string, rule: string): ServiceError {
  return new ServiceError('invalid_query', { detail: `${name} ${rule}.`, param: name });
}
