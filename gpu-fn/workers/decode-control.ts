/** `control_image` of a request → pixels; what is refused is refused by the file's head, before a decoder sees it. */
import sharp from 'sharp';
import { pictureUriPayloadStart } from '#shared/data-uri.ts';
import { ServiceError } from '#shared/errors.ts';
import { INPUT_PICTURE_PIXELS_MAX, INPUT_PICTURE_SIDE_MAX } from '#shared/limits.ts';
import { readPictureHeader } from '#shared/picture-header.ts';
import type { Control } from '../pipeline/components.ts';
import type { CompleteInput } from '../predictions/complete-input.ts';

const PARAM = 'control_image';
/** The largest picture that is let in takes a tenth of a second. */
const DECODE_SECONDS_MAX = 10;
const PROFILE_BYTES_MAX = 1 << 20;
const SIDE_MIN = 16;

/**
 * @returns undefined when the request has no control picture
 * @throws {ServiceError} `image_invalid` naming what is wrong with the picture
 */
export async function decodeControl(
  input: Pick<CompleteInput, 'control_image' | 'control_scale'>,
): Promise<Control | undefined> {
  const { control_image: uri, control_scale: scale } = input;
  if (uri == null) return undefined;
  const start = pictureUriPayloadStart(uri);
  const payload = uri.slice(start);
  if (start === -1 || payload.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(payload)) {
    throw invalid('must be a data URI of a PNG, JPEG or WebP picture');
  }
  const file = Buffer.from(payload, 'base64');
  checkHeader(file);
  try {
    const { data, info } = await sharp(file, {
      limitInputPixels: INPUT_PICTURE_PIXELS_MAX,
      failOn: 'error',
    })
      .timeout({ seconds: DECODE_SECONDS_MAX })
      .autoOrient()
      .toColourspace('srgb')
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const { width, height } = info;
    return { image: { data: new Uint8Array(data), width, height, channels: 4 }, scale };
  } catch (cause) {
    throw new ServiceError('image_invalid', {
      detail: 'control_image cannot be decoded',
      message: (cause as Error).message,
      param: PARAM,
      cause,
    });
  }
}

function checkHeader(file: Uint8Array): void {
  const header = readPictureHeader(file);
  if (header === undefined) throw invalid('is no PNG, JPEG or WebP picture');
  const { width, height } = header;
  if (!header.whole) throw invalid('is cut off');
  if (header.animated) throw invalid('has more than one frame');
  if (header.profileBytes > PROFILE_BYTES_MAX) {
    throw invalid(
      `has a colour profile of ${header.profileBytes} bytes, the limit is ${PROFILE_BYTES_MAX}`,
    );
  }
  if (Math.min(width, height) < SIDE_MIN || Math.max(width, height) > INPUT_PICTURE_SIDE_MAX) {
    throw invalid(
      `is ${width} × ${height}; sides go from ${SIDE_MIN} to ${INPUT_PICTURE_SIDE_MAX}`,
    );
  }
  if (width * height > INPUT_PICTURE_PIXELS_MAX) {
    throw invalid(`has ${width * height} pixels, the limit is ${INPUT_PICTURE_PIXELS_MAX}`);
  }
}

function invalid(rule: string): ServiceError {
  return new ServiceError('image_invalid', { detail: `control_image ${rule}`, param: PARAM });
}
