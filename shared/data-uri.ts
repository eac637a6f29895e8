/** Pictures that travel inside JSON: `data:image/png;base64,…`. */
import type { ErrorCode } from './errors.ts';
import { INPUT_PICTURE_BYTES_MAX } from './limits.ts';

/** Containers that an input picture may have; anything else is refused before it is decoded. */
export const INPUT_PICTURE_TYPES = ['image/png', 'image/jpeg', 'image/webp'] as const;

/** The longest head, `data:image/jpeg;base64,`, and four characters for three bytes. */
export const DATA_URI_CHARS_MAX: number = 23 + 4 * Math.ceil(INPUT_PICTURE_BYTES_MAX / 3);

const HEAD_PATTERN = /^data:(image\/(?:png|jpeg|webp));base64,/;

export interface PictureUriFault {
  readonly message: string;
  readonly params: { readonly code: ErrorCode };
}

/** Says why a text is no picture URI that could be decoded, from its head and its length alone; or undefined. */
export function findPictureUriFault(uri: string): PictureUriFault | undefined {
  if (uri.length > DATA_URI_CHARS_MAX) {
    const message = `is larger than ${INPUT_PICTURE_BYTES_MAX} bytes`;
    return { message, params: { code: 'payload_too_large' } };
  }
  if (HEAD_PATTERN.test(uri)) return undefined;
  const message = `must be a data URI in base64 of ${INPUT_PICTURE_TYPES.join(', ')}`;
  return { message, params: { code: 'image_invalid' } };
}

/** Where the base64 of a URI begins; −1 when {@link findPictureUriFault} would refuse it. */
export function pictureUriPayloadStart(uri: string): number {
  return HEAD_PATTERN.exec(uri)?.[0].length ?? -1;
}
