import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { INPUT_PICTURE_BYTES_MAX } from '#shared/limits.ts';
import { decodeMask, decodePicture, readPictureUri } from '../../../gpu-fn/image/decode-picture.ts';

const FIELD = { param: 'image' } as const;
const refusal = (code: string) => expect.objectContaining({ code, param: 'image' });

const raw = (width: number, height: number, channels: 3 | 4) =>
  sharp(Buffer.from(Array.from({ length: width * height * channels }, (_, i) => (i * 37) % 256)), {
    raw: { width, height, channels },
  });

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

/** Puts a chunk behind IHDR. */
function withChunk(png: Buffer, type: string, data: Uint8Array): Buffer {
  return Buffer.concat([png.subarray(0, 33), chunk(type, data), png.subarray(33)]);
}

function withSize(png: Buffer, width: number, height: number): Buffer {
  const header = Buffer.from(png.subarray(16, 29));
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  return Buffer.concat([png.subarray(0, 8), chunk('IHDR', header), png.subarray(33)]);
}

async function millisecondsToRefuse(file: Uint8Array, code: string): Promise<number> {
  const start = performance.now();
  await expect(decodePicture(file, FIELD)).rejects.toThrow(refusal(code));
  return performance.now() - start;
}

describe('decodePicture()', () => {
  it.each(['png', 'webp'] as const)('gives the pixels of %s without loss', async (format) => {
    const source = raw(20, 16, 4);
    const file = await source.clone()[format]({ lossless: true }).toBuffer();
    const { data, width, height, channels } = await decodePicture(file, FIELD);
    expect({ width, height, channels }).toEqual({ width: 20, height: 16, channels: 4 });
    const opaque = (pixels: Uint8Array) => pixels.filter((_, i) => pixels[i | 3]! > 0);
    expect(opaque(data)).toEqual(opaque(new Uint8Array(await source.raw().toBuffer())));
  });

  it('turns a picture upright, as its EXIF says, and reads CMYK and grey', async () => {
    const turned = await raw(32, 16, 3).jpeg().withMetadata({ orientation: 6 }).toBuffer();
    expect(await decodePicture(turned, FIELD)).toMatchObject({
      width: 16,
      height: 32,
      channels: 3,
    });
    const cmyk = await raw(32, 16, 3).toColourspace('cmyk').jpeg().toBuffer();
    expect(await decodePicture(cmyk, FIELD)).toMatchObject({ width: 32, height: 16, channels: 3 });
    const grey = await raw(32, 16, 3).toColourspace('b-w').png().toBuffer();
    expect(await decodePicture(grey, FIELD)).toMatchObject({ width: 32, channels: 3 });
    const deep = await raw(32, 16, 3).toColourspace('rgb16').png().toBuffer();
    expect(await decodePicture(deep, FIELD)).toMatchObject({ width: 32, channels: 3 });
  });

  it.each([
    ['nothing', ''],
    ['seven bytes', 'GIF89a\0'],
    ['text', 'the quick brown fox jumps over the lazy dog'],
    ['a PDF', '%PDF-1.7 %âãÏÓ 1 0 obj << /Type /Catalog >> endobj'],
    ['a program', '\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0'],
    ['an SVG', '<svg xmlns="http://www.w3.org/2000/svg" width="30000" height="30000"/>'],
  ])('refuses %s', async (_, text) => {
    await expect(decodePicture(Buffer.from(text, 'latin1'), FIELD)).rejects.toThrow(
      refusal('image_invalid'),
    );
  });

  it('refuses GIF, TIFF and AVIF by their first bytes', async () => {
    for (const format of ['gif', 'tiff'] as const) {
      const file = await raw(32, 16, 3).toFormat(format).toBuffer();
      await expect(decodePicture(file, FIELD)).rejects.toThrow(refusal('image_invalid'));
    }
  });

  it('refuses more than one frame', async () => {
    const frames = await sharp(Buffer.alloc(16 * 32 * 3).fill(200, 16 * 16 * 3), {
      raw: { width: 16, height: 32, channels: 3, pageHeight: 16 },
    })
      .webp()
      .toBuffer();
    await expect(decodePicture(frames, FIELD)).rejects.toThrow(refusal('image_animated'));
    const still = await raw(32, 16, 3).png().toBuffer();
    const apng = withChunk(still, 'acTL', Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]));
    await expect(decodePicture(apng, FIELD)).rejects.toThrow(refusal('image_animated'));
  });

  it('refuses sizes just above the limits in milliseconds, and takes those below', async () => {
    const png = await raw(32, 16, 3).png().toBuffer();
    expect(
      await millisecondsToRefuse(withSize(png, 16_000, 16_000), 'image_too_many_pixels'),
    ).toBeLessThan(100);
    await millisecondsToRefuse(withSize(png, 4097, 16), 'image_too_many_pixels');
    await millisecondsToRefuse(withSize(png, 2048, 2049), 'image_too_many_pixels');
    await millisecondsToRefuse(withSize(png, 15, 16), 'image_invalid');
    const wide = await sharp({
      create: { width: 4096, height: 16, channels: 3, background: '#123' },
    })
      .png()
      .toBuffer();
    expect(await decodePicture(wide, FIELD)).toMatchObject({ width: 4096, height: 16 });
  });

  it('never inflates text, and refuses a colour profile that inflates too far', async () => {
    const png = await raw(32, 16, 3).png().toBuffer();
    const bomb = deflateSync(Buffer.alloc(64 << 20));
    const text = withChunk(
      png,
      'zTXt',
      Buffer.concat([Buffer.from('Comment\0\0', 'latin1'), bomb]),
    );
    const before = process.memoryUsage.rss();
    expect(await decodePicture(text, FIELD)).toMatchObject({ width: 32, height: 16 });
    expect(process.memoryUsage.rss() - before).toBeLessThan(32 << 20);
    const profile = withChunk(png, 'iCCP', Buffer.concat([Buffer.from('icc\0\0', 'latin1'), bomb]));
    expect(await millisecondsToRefuse(profile, 'image_invalid')).toBeLessThan(1000);
  });

  it('refuses a JPEG of ten thousand scans before decoding it', async () => {
    const jpeg = await raw(32, 16, 3).jpeg().toBuffer();
    const scan = Buffer.from([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0x12, 0x34]);
    const scans = Buffer.concat([
      jpeg.subarray(0, -2),
      ...Array<Buffer>(10_000).fill(scan),
      jpeg.subarray(-2),
    ]);
    expect(await millisecondsToRefuse(scans, 'image_invalid')).toBeLessThan(100);
  });

  it.each(['png', 'jpeg', 'webp'] as const)(
    'refuses a %s that ends too early or is damaged',
    async (format) => {
      const file = await raw(64, 64, 3).toFormat(format).toBuffer();
      await expect(decodePicture(file.subarray(0, file.length - 20), FIELD)).rejects.toThrow(
        refusal('image_invalid'),
      );
      if (format !== 'png') return;
      const damaged = Buffer.from(file);
      damaged.fill(0x55, 60, 90);
      await expect(decodePicture(damaged, FIELD)).rejects.toThrow(refusal('image_invalid'));
    },
  );
});

describe('decodeMask()', () => {
  it('cuts grey at one half; transparent is kept', async () => {
    const values = [0, 127, 128, 255];
    const pixels = Buffer.from(Array.from({ length: 256 }, (_, i) => values[i % 4]!));
    const png = await sharp(pixels, { raw: { width: 16, height: 16, channels: 1 } })
      .png()
      .toBuffer();
    const mask = await decodeMask(png, { param: 'mask' });
    expect(mask).toMatchObject({ width: 16, height: 16 });
    expect([...mask.data.slice(0, 4)]).toEqual([0, 0, 255, 255]);
    const clear = await sharp({
      create: {
        width: 16,
        height: 16,
        channels: 4,
        background: { r: 255, g: 255, b: 255, alpha: 0 },
      },
    })
      .png()
      .toBuffer();
    expect(new Set((await decodeMask(clear, { param: 'mask' })).data)).toEqual(new Set([0]));
  });
});

describe('readPictureUri()', () => {
  it('gives the bytes back', async () => {
    const png = await raw(16, 16, 3).png().toBuffer();
    const uri = `data:image/png;base64,${png.toString('base64')}`;
    expect(Buffer.from(readPictureUri(uri, FIELD))).toEqual(png);
    expect(() => readPictureUri(uri.replace('png', 'webp'), FIELD)).toThrow('is image/png');
  });

  it.each([
    ['https://example.com/a.png', 'image_invalid'],
    ['data:image/png;base64,iVBORw0KGg', 'image_invalid'],
    ['data:image/png;base64,iVBO*w0K', 'image_invalid'],
    [`data:image/png;base64,${'A'.repeat(4 * (INPUT_PICTURE_BYTES_MAX / 2))}`, 'payload_too_large'],
  ])('refuses %.40s', (uri, code) => {
    expect(() => readPictureUri(uri, FIELD)).toThrow(refusal(code));
  });
});
