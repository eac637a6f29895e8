/**
 * Pixels → PNG, JPEG or WebP bytes that carry the XMP mark.
 *
 * The same pixels and options give the same bytes: no date, no random chunk, one fixed set of encoder
 * options.
 */
import sharp from 'sharp';
import { buildXmp, type XmpSource } from '#shared/xmp.ts';
import type { ImageFormat, Pixels } from '../pipeline/components.ts';
import { insertPngXmp } from './png-itxt.ts';

export interface EncodeImageOptions {
  readonly format: ImageFormat;
  /** 1–100; PNG has no loss and ignores it */
  readonly quality: number;
  readonly info: XmpSource;
}

/** What shows through where JPEG cannot hold transparency. */
const JPEG_BACKDROP = '#ffffff';

/**
 * @throws {RangeError} when `data` is not width × height × channels bytes, or the quality not 1–100
 */
export async function encodeImage(
  image: Pixels,
  { format, quality, info }: EncodeImageOptions,
): Promise<Uint8Array> {
  const { data, width, height, channels } = image;
  if (data.length !== width * height * channels) {
    throw new RangeError(`${data.length} bytes are not ${width} × ${height} × ${channels}`);
  }
  if (!Number.isInteger(quality) || quality < 1 || quality > 100) {
    throw new RangeError(`quality ${quality} is not an integer from 1 to 100`);
  }
  const xmp = buildXmp(info);
  const source = sharp(data, { raw: { width, height, channels } });
  switch (format) {
    case 'png':
      return insertPngXmp(await source.png({ compressionLevel: 9 }).toBuffer(), xmp);
    case 'jpeg':
      return source
        .flatten({ background: JPEG_BACKDROP })
        .jpeg({ quality, chromaSubsampling: '4:4:4' }) // sharp colour edges are the rule here
        .withXmp(xmp)
        .toBuffer();
    case 'webp':
      return source
        .webp({ quality, alphaQuality: 100, smartSubsample: true })
        .withXmp(xmp)
        .toBuffer();
    default:
      return format satisfies never;
  }
}
