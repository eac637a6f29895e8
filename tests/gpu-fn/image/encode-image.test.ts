import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { buildXmp } from '#shared/xmp.ts';
import { encodeImage } from '../../../gpu-fn/image/encode-image.ts';
import type { ImageFormat, Pixels } from '../../../gpu-fn/pipeline/components.ts';
import { readXmp } from '../../helpers/read-xmp.ts';

const info = { id: 'pixart-edge/stickers-nano', revision: 'ab'.repeat(32) };
const FORMATS: readonly ImageFormat[] = ['png', 'jpeg', 'webp'];

/** A smooth picture, so that lossy codecs stay close. */
function gradient(channels: 3 | 4): Pixels {
  const [width, height] = [32, 16];
  const data = Uint8Array.from({ length: width * height * channels }, (_, i) => {
    const x = Math.floor(i / channels) % width;
    return i % channels === 3 ? x * 8 : 40 + x * 4 + (i % channels) * 20;
  });
  return { data, width, height, channels };
}

const decode = async (bytes: Uint8Array) => {
  const { data, info: raw } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  return { data, width: raw.width, height: raw.height, channels: raw.channels };
};

describe('encodeImage()', () => {
  it.each(FORMATS)('encodeImage() gives %s that decodes to the picture', async (format) => {
    const image = gradient(3);
    const bytes = await encodeImage(image, { format, quality: 95, info });
    const decoded = await decode(bytes);
    const error = Math.max(...decoded.data.map((value, i) => Math.abs(value - image.data[i]!)));
    expect((await sharp(bytes).metadata()).format).toBe(format);
    expect(decoded).toMatchObject({ width: 32, height: 16, channels: 3 });
    expect(error).toBeLessThanOrEqual(format === 'png' ? 0 : 12);
  });

  it.each(FORMATS)('encodeImage() puts the XMP packet into %s', async (format) => {
    const found = readXmp(await encodeImage(gradient(4), { format, quality: 90, info }));
    expect(found?.packet).toBe(buildXmp(info));
    const before = { png: ['IHDR', 'iTXt'], jpeg: ['e1'], webp: ['VP8X'] }[format];
    expect(found?.parts.slice(0, before.length)).toEqual(before);
  });

  it('encodeImage() writes a PNG that a strict decoder accepts, checksums included', async () => {
    const bytes = await encodeImage(gradient(3), { format: 'png', quality: 90, info });
    const image = sharp(bytes, { failOn: 'warning' });
    await expect(image.raw().toBuffer()).resolves.toHaveLength(32 * 16 * 3);
  });

  it.each(FORMATS)('encodeImage() gives the same bytes of %s twice', async (format) => {
    const options = { format, quality: 80, info };
    const first = await encodeImage(gradient(4), options);
    expect(await encodeImage(gradient(4), options)).toEqual(first);
  });

  it.each(['png', 'webp'] as const)('encodeImage() keeps alpha in %s', async (format) => {
    const image = gradient(4);
    const decoded = await decode(await encodeImage(image, { format, quality: 90, info }));
    expect(decoded.channels).toBe(4);
    expect(decoded.data[3]).toBe(0);
    expect(decoded.data[4 * 16 + 3]).toBe(128);
  });

  it('encodeImage() lays transparent pixels on white for JPEG', async () => {
    const image: Pixels = { data: new Uint8Array(16 * 16 * 4), width: 16, height: 16, channels: 4 };
    const decoded = await decode(await encodeImage(image, { format: 'jpeg', quality: 90, info }));
    expect(decoded.channels).toBe(3);
    expect(Math.min(...decoded.data)).toBeGreaterThanOrEqual(254);
  });

  it('encodeImage() at a lower quality gives a smaller file', async () => {
    const sizeAt = async (quality: number) =>
      (await encodeImage(gradient(3), { format: 'jpeg', quality, info })).length;
    expect(await sizeAt(1)).toBeLessThan(await sizeAt(100));
  });

  it.each([0, 101, 50.5])('encodeImage() refuses quality %s', async (quality) => {
    const options = { format: 'jpeg' as const, quality, info };
    await expect(encodeImage(gradient(3), options)).rejects.toThrow('from 1 to 100');
  });

  it('encodeImage() refuses data of another length than the size says', async () => {
    const image = { ...gradient(3), width: 31 };
    await expect(encodeImage(image, { format: 'png', quality: 90, info })).rejects.toThrow(
      '31 × 16',
    );
  });
});
