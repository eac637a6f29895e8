/**
 * A picture that a caller sent → pixels, and what is refused before a decoder sees it.
 *
 * Size, frames and profile are read from the file's head, so that a bomb costs milliseconds. PNG, JPEG and WebP only;
 * whatever the file says about itself beside its pixels is dropped.
 */
import sharp, { type Sharp } from 'sharp';
import { pictureUriPayloadStart } from '#shared/data-uri.ts';
import { ServiceError } from '#shared/errors.ts';
import {
  INPUT_PICTURE_BYTES_MAX,
  INPUT_PICTURE_PIXELS_MAX,
  INPUT_PICTURE_SIDE_MAX,
} from '#shared/limits.ts';
import { type PictureHeader, readPictureHeader } from '#shared/picture-header.ts';
import type { Mask, Pixels } from '../pipeline/components.ts';
import { keepPixelChunks, PngError, PROFILE_BYTES_MAX } from './png-chunks.ts';

/** Smaller ones hold nothing to start from. */
export const INPUT_PICTURE_SIDE_MIN = 16;
/** A progressive JPEG has about ten; each costs a pass over the whole picture. */
const JPEG_SCANS_MAX = 64;
/** The largest picture that is let in takes a tenth of a second. */
const DECODE_SECONDS_MAX = 10;

interface PictureField {
  /** name in the request, for errors */
  readonly param: string;
}

/**
 * The bytes of a `data:` URI.
 *
 * @throws {ServiceError} `image_invalid` when it is no URI of a picture, its base64 is broken or the bytes are of another
 *         type than it says; `payload_too_large`
 */
export function readPictureUri(uri: string, { param }: PictureField): Uint8Array {
  const start = pictureUriPayloadStart(uri);
  if (start === -1) throw invalid(param, 'must be a data URI of a PNG, JPEG or WebP picture');
  if (uri.length - start > 4 * Math.ceil(INPUT_PICTURE_BYTES_MAX / 3)) throw tooLarge(param);
  const payload = uri.slice(start);
  if (payload.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(payload)) {
    throw invalid(param, 'has broken base64');
  }
  const file = Buffer.from(payload, 'base64');
  const type = uri.slice('data:'.length, start - ';base64,'.length);
  const header = readPictureHeader(file);
  if (header !== undefined && type !== `image/${header.format}`) {
    throw invalid(param, `says ${type} and is image/${header.format}`);
  }
  return file;
}

/**
 * @returns RGB, or RGBA with straight alpha, upright
 * @throws {ServiceError} `image_invalid`, `image_too_many_pixels`, `image_animated`, `payload_too_large`
 */
export async function decodePicture(file: Uint8Array, field: PictureField): Promise<Pixels> {
  const { data, info } = await decode(file, field, (image) => image.toColourspace('srgb'));
  const { width, height, channels } = info;
  if (channels !== 3 && channels !== 4) {
    throw invalid(field.param, `has ${channels} channels after decoding`);
  }
  return { data: new Uint8Array(data), width, height, channels };
}

/**
 * Grey is cut at one half: lighter is redrawn. Transparent counts as black.
 *
 * @throws {ServiceError} the same
 */
export async function decodeMask(file: Uint8Array, field: PictureField): Promise<Mask> {
  const { data, info } = await decode(file, field, (image) =>
    image.flatten({ background: '#000000' }).toColourspace('b-w').extractChannel(0),
  );
  const { width, height } = info;
  return { data: Uint8Array.from(data, (value) => (value >= 128 ? 255 : 0)), width, height };
}

async function decode(file: Uint8Array, { param }: PictureField, convert: (image: Sharp) => Sharp) {
  const header = checkHeader(file, param);
  try {
    const pixels = header.format === 'png' ? keepPixelChunks(file) : file;
    const image = sharp(pixels, { limitInputPixels: INPUT_PICTURE_PIXELS_MAX, failOn: 'error' })
      .timeout({ seconds: DECODE_SECONDS_MAX })
      .autoOrient();
    return await convert(image).raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  } catch (cause) {
    const reason = cause instanceof PngError ? `: ${cause.message}` : '';
    throw new ServiceError('image_invalid', {
      param,
      detail: `${param} cannot be decoded${reason}.`,
      cause,
    });
  }
}

/** Everything that can be refused without decoding. */
function checkHeader(file: Uint8Array, param: string): PictureHeader {
  if (file.length > INPUT_PICTURE_BYTES_MAX) throw tooLarge(param);
  const header = readPictureHeader(file);
  if (header === undefined) throw invalid(param, 'is no PNG, JPEG or WebP picture');
  const { width, height, format } = header;
  if (!header.whole) throw invalid(param, 'ends too early');
  if (Math.min(width, height) < INPUT_PICTURE_SIDE_MIN) {
    throw invalid(
      param,
      `is ${width}x${height}; each side must be at least ${INPUT_PICTURE_SIDE_MIN}`,
    );
  }
  if (
    Math.max(width, height) > INPUT_PICTURE_SIDE_MAX ||
    width * height > INPUT_PICTURE_PIXELS_MAX
  ) {
    const limit = `${INPUT_PICTURE_SIDE_MAX} pixels a side and ${INPUT_PICTURE_PIXELS_MAX} in all`;
    throw new ServiceError('image_too_many_pixels', {
      param,
      detail: `${param} is ${width}x${height}; the limits are ${limit}.`,
    });
  }
  if (header.animated) {
    throw new ServiceError('image_animated', {
      param,
      detail: `${param} has more than one frame; send a single one.`,
    });
  }
  if (header.profileBytes > PROFILE_BYTES_MAX) {
    throw invalid(param, `has a colour profile of more than ${PROFILE_BYTES_MAX} bytes`);
  }
  if (format === 'jpeg' && countScans(file) > JPEG_SCANS_MAX) {
    throw invalid(param, `is a JPEG of more than ${JPEG_SCANS_MAX} scans`);
  }
  return header;
}

/** Markers `FF DA`; inside of entropy-coded data FF is followed by 00 or a restart marker. */
function countScans(file: Uint8Array): number {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  let count = 0;
  for (let at = bytes.indexOf(SCAN); at !== -1 && count <= JPEG_SCANS_MAX; count += 1) {
    at = bytes.indexOf(SCAN, at + SCAN.length);
  }
  return count;
}

const SCAN = Buffer.from([0xff, 0xda]);

function invalid(param: string, detail: string): ServiceError {
  return new ServiceError('image_invalid', { param, detail: `${param} ${detail}.` });
}

function tooLarge(param: string): ServiceError {
  return new ServiceError('payload_too_large', {
    param,
    detail: `${param} is larger than ${INPUT_PICTURE_BYTES_MAX} bytes.`,
  });
}
