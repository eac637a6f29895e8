/**
 * A picture file → a smaller one, or one of another format, with the same XMP mark.
 *
 * Reads the formats that the service writes and no other. The same file and variant give the same bytes.
 */
import sharp, { type Sharp } from 'sharp';
import { ServiceError } from '#shared/errors.ts';
import { PIXELS_MAX } from '#shared/limits.ts';
import { readPictureHeader } from '#shared/picture-header.ts';
import { VARIANT_QUALITY_DEFAULT, type Variant } from '#shared/variant.ts';
import { insertPngXmp } from './png-itxt.ts';

/** What shows through where JPEG cannot hold transparency. */
const JPEG_BACKDROP = '#ffffff';

/**
 * @param file      a whole PNG, JPEG or WebP file of at most `PIXELS_MAX` pixels
 * @param seconds   the work is stopped after so long, rounded up to whole seconds
 * @throws {ServiceError} `image_invalid` for files that cannot be read, `deadline_exceeded` when it takes too long
 */
export async function makeVariant(
  file: Uint8Array,
  variant: Variant,
  { seconds }: { seconds: number },
): Promise<Uint8Array> {
  const header = readPictureHeader(file);
  if (header === undefined || !header.whole) throw new ServiceError('image_invalid');
  try {
    const source = sharp(file, { limitInputPixels: PIXELS_MAX, failOn: 'error' });
    const { xmp } = await source.metadata();
    source.timeout({ seconds: Math.max(1, Math.ceil(seconds)) });
    return await encode(resize(source, variant), variant, xmp?.toString('utf8'));
  } catch (cause) {
    const { message } = cause as Error;
    if (/timeout/i.test(message)) throw new ServiceError('deadline_exceeded', { cause });
    throw new ServiceError('image_invalid', { cause, message });
  }
}

function resize(source: Sharp, { width, height, fit }: Variant): Sharp {
  if (width === undefined && height === undefined) return source;
  return source.resize({
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    fit: fit === 'cover' ? 'cover' : 'inside',
    withoutEnlargement: true,
  });
}

async function encode(source: Sharp, variant: Variant, xmp: string | undefined) {
  const { format, quality = VARIANT_QUALITY_DEFAULT } = variant;
  const marked = (image: Sharp) => (xmp === undefined ? image : image.withXmp(xmp));
  switch (format) {
    case 'png': {
      const png = await source.png({ compressionLevel: 9 }).toBuffer();
      return xmp === undefined ? png : insertPngXmp(png, xmp);
    }
    case 'jpeg':
      return marked(
        source
          .flatten({ background: JPEG_BACKDROP })
          .jpeg({ quality, mozjpeg: true, chromaSubsampling: '4:4:4' }),
      ).toBuffer();
    case 'webp':
      return marked(source.webp({ quality, alphaQuality: 100, smartSubsample: true })).toBuffer();
    default:
      return format satisfies never;
  }
}
