/**
 * Pixels → PNG, JPEG or WebP bytes that carry the XMP mark.
 *
 * The same pixels and options give the same bytes: no date, no random chunk, one fixed set of encoder
 * options.
 */
import sharp, { type Sharp } from 'sharp';
import type { MetadataPolicy } from '#shared/schemas/prediction-input.ts';
import { buildXmp, type XmpSource } from '#shared/xmp.ts';
import type { ImageFormat, Pixels } from '../pipeline/components.ts';
import { insertPngXmp } from './png-itxt.ts';

export interface EncodeImageOptions {
  readonly format: ImageFormat;
  /** 1–100; PNG has no loss and ignores it */
  readonly quality: number;
  readonly info: XmpSource;
  /** `minimal` (default) writes the mark, `full` also the parameters, `none` nothing */
  readonly metadata?: MetadataPolicy;
  /** what the picture was made from, in words */
  readonly parameters?: string;
}

/** What shows through where JPEG cannot hold transparency. */
const JPEG_BACKDROP = '#ffffff';

/**
 * @throws {RangeError} when `data` is not width × height × channels bytes, or the quality not 1–100
 */
export async function encodeImage(
  image: Pixels,
  { format, quality, info, metadata = 'minimal', parameters }: EncodeImageOptions,
): Promise<Uint8Array> {
  const { data, width, height, channels } = image;
  if (data.length !== width * height * channels) {
    throw new RangeError(`${data.length} bytes are not ${width} × ${height} × ${channels}`);
  }
  if (!Number.isInteger(quality) || quality < 1 || quality > 100) {
    throw new RangeError(`quality ${quality} is not an integer from 1 to 100`);
  }
  const xmp =
    metadata === 'none' ? undefined : buildXmp(info, metadata === 'full' ? parameters : undefined);
  const mark = (encoder: Sharp) => (xmp === undefined ? encoder : encoder.withXmp(xmp));
  const source = sharp(data, { raw: { width, height, channels } });
  switch (format) {
    case 'png': {
      const png = await source.png({ compressionLevel: 9 }).toBuffer();
      return xmp === undefined ? png : insertPngXmp(png, xmp);
    }
    case 'jpeg':
      return mark(
        source.flatten({ background: JPEG_BACKDROP }).jpeg({ quality, chromaSubsampling: '4:4:4' }), // sharp colour edges are the rule here
      ).toBuffer();
    case 'webp':
      return mark(source.webp({ quality, alphaQuality: 100, smartSubsample: true })).toBuffer();
    default:
      return format satisfies never;
  }
}
