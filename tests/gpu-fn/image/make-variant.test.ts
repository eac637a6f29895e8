import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { VARIANT_QUALITY_DEFAULT as quality, type Variant } from '#shared/variant.ts';
import { encodeImage } from '../../../gpu-fn/image/encode-image.ts';
import { makeVariant } from '../../../gpu-fn/image/make-variant.ts';
import { readXmp } from '../../helpers/read-xmp.ts';

const FORMATS = ['png', 'jpeg', 'webp'] as const;
const info = { id: 'owner/model', revision: 'ab'.repeat(32) };

/** 128 × 96, the left half red, the right half transparent. */
function original(format: (typeof FORMATS)[number]): Promise<Uint8Array> {
  const data = new Uint8Array(128 * 96 * 4);
  for (let i = 0; i < data.length; i += 4) {
    if ((i / 4) % 128 < 64) data.set([255, 0, 0, 255], i);
  }
  const image = { data, width: 128, height: 96, channels: 4 } as const;
  return encodeImage(image, { format, quality: 100, info });
}

const make = (file: Uint8Array, variant: Variant) => makeVariant(file, variant, { seconds: 10 });

describe('makeVariant', () => {
  it.each([
    [{ width: 64 }, [64, 48]],
    [{ height: 24 }, [32, 24]],
    [{ width: 64, height: 10, fit: 'contain' }, [13, 10]],
    [{ width: 50, height: 50, fit: 'cover' }, [50, 50]],
    [{ width: 2048 }, [128, 96]],
    [{ width: 2048, height: 2048, fit: 'contain' }, [128, 96]],
    [{ width: 2048, height: 2048, fit: 'cover' }, [128, 96]],
    [{ width: 1 }, [1, 1]],
    [{}, [128, 96]],
  ] as const)('fits %o into %o and never enlarges', async (box, size) => {
    const out = await make(await original('png'), { format: 'png', ...box });
    const { width, height } = await sharp(out).metadata();
    expect([width, height]).toEqual(size);
  });

  it.each(FORMATS.flatMap((from) => FORMATS.map((to) => [from, to] as const)))(
    'keeps the mark from %s to %s, byte for byte',
    async (from, to) => {
      const file = await original(from);
      const out = await make(file, { format: to, width: 32, ...(to !== 'png' && { quality }) });
      expect((await sharp(out).metadata()).format).toBe(to);
      expect(readXmp(out)?.packet).toBe(readXmp(file)?.packet);
      expect(readXmp(out)?.packet).toContain('trainedAlgorithmicMedia');
    },
  );

  it('keeps transparency where the format can, and shows white where it cannot', async () => {
    const file = await original('png');
    const corner = async (variant: Variant) => {
      const { data, info } = await sharp(await make(file, variant))
        .raw()
        .toBuffer({ resolveWithObject: true });
      return [...data.subarray(data.length - info.channels)];
    };
    expect((await corner({ format: 'webp', quality: 100 })).at(3)).toBe(0);
    expect((await corner({ format: 'png' })).at(3)).toBe(0);
    const white = await corner({ format: 'jpeg', quality: 100 });
    expect(white).toHaveLength(3);
    for (const channel of white) expect(channel).toBeGreaterThan(250);
  });

  it('makes smaller files of lower quality, and the same bytes each time', async () => {
    const noise = new Uint8Array(128 * 128 * 3).map((_, i) => (i * i * 31) % 251);
    const file = await encodeImage(
      { data: noise, width: 128, height: 128, channels: 3 },
      { format: 'png', quality: 100, info },
    );
    const [low, high, again] = await Promise.all(
      [10, 95, 95].map((value) => make(file, { format: 'webp', quality: value })),
    );
    expect(low!.length).toBeLessThan(high!.length / 2);
    expect(again).toEqual(high);
  });

  it.each([
    ['nothing', () => new Uint8Array()],
    ['text', () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'.padEnd(64))],
    ['half a picture', (file: Uint8Array) => file.subarray(0, file.length / 2)],
    ['a damaged picture', (file: Uint8Array) => Uint8Array.from(file).fill(0x55, 800, 860)],
    ['a gif', () => Buffer.from('GIF89a'.padEnd(64))],
  ])('refuses %s', async (_, damage) => {
    const file = damage(await original('png'));
    await expect(make(file, { format: 'png', width: 8 })).rejects.toMatchObject({
      code: 'image_invalid',
    });
  });

  it('refuses a picture of too many pixels by its header', async () => {
    const bomb = await sharp({
      create: { width: 8000, height: 8000, channels: 3, background: '#000' },
    })
      .png({ palette: true })
      .toBuffer();
    const startedAt = performance.now();
    await expect(make(bomb, { format: 'png', width: 8 })).rejects.toMatchObject({
      code: 'image_invalid',
    });
    expect(performance.now() - startedAt).toBeLessThan(2000);
  });
});
