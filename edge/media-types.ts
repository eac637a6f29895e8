/** Media type of each picture format. */
import { MEDIA_TYPES } from '#shared/headers.ts';
import type { ImageFormat } from '#shared/schemas/fields.ts';

export function mediaTypeOf(format: ImageFormat): string {
  return MEDIA_TYPES[format];
}

export function formatOf(mediaType: string | undefined): ImageFormat | undefined {
  const formats = ['png', 'jpeg', 'webp'] as const;
  return formats.find((format) => MEDIA_TYPES[format] === mediaType);
}
