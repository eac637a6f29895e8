import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { readPictureHeader } from '../../shared/picture-header.ts';

/** Files as an encoder makes them. */
async function encode(format: 'png' | 'jpeg' | 'webp', options: object, channels: 3 | 4 = 3) {
  const background = { r: 200, g: 30, b: 90, alpha: 0.5 };
  const picture = sharp({ create: { width: 144, height: 80, channels, background } });
  return new Uint8Array(await picture.toFormat(format, options).toBuffer());
}

const files: [string, 'png' | 'jpeg' | 'webp', object, (3 | 4)?][] = [
  ['png', 'png', {}],
  ['png with alpha', 'png', {}, 4],
  ['interlaced png', 'png', { progressive: true }],
  ['jpeg', 'jpeg', {}],
  ['progressive jpeg', 'jpeg', { progressive: true }],
  ['lossy webp', 'webp', {}],
  ['lossless webp', 'webp', { lossless: true }],
  ['webp with alpha', 'webp', {}, 4],
];

describe('readPictureHeader()', () => {
  test.each(files)(
    'readPictureHeader() reads a %s, and sees when its end is missing',
    async (_, format, options, channels) => {
      const bytes = await encode(format, options, channels);
      const header = { format, width: 144, height: 80, alpha: channels === 4, animated: false };
      expect(readPictureHeader(bytes)).toMatchObject({ ...header, whole: true });
      for (const cut of [1, 2]) {
        const part = bytes.subarray(0, bytes.length - cut);
        expect(readPictureHeader(part), `without the last ${cut}`).toMatchObject({
          ...header,
          whole: false,
        });
      }
    },
  );

  test('readPictureHeader() reads bytes that lie somewhere in a larger buffer', async () => {
    const bytes = await encode('png', {});
    const shifted = new Uint8Array(bytes.length + 7);
    shifted.set(bytes, 7);
    expect(readPictureHeader(shifted.subarray(7))).toMatchObject({ width: 144, whole: true });
  });

  test.each([
    ['nothing', new Uint8Array()],
    ['29 bytes', new Uint8Array(29).fill(0xff)],
    ['zeros', new Uint8Array(100)],
    ['a gif', new TextEncoder().encode('GIF89a'.padEnd(64))],
    ['an svg', new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg"></svg>')],
    ['a web page', new TextEncoder().encode('<html>'.repeat(20))],
    ['RIFF of another kind', new TextEncoder().encode('RIFF0000WAVEfmt '.padEnd(64))],
    ['a jpeg without a frame', Uint8Array.from([0xff, 0xd8, ...new Array(60).fill(0)])],
  ])('readPictureHeader() does not know %s', (_, bytes) => {
    expect(readPictureHeader(bytes)).toBeUndefined();
  });

  test.each(['png', 'jpeg', 'webp'] as const)(
    'readPictureHeader() measures the colour profile of a %s',
    async (format) => {
      const picture = sharp({ create: { width: 64, height: 64, channels: 3, background: '#246' } });
      const plain = await picture.clone().toFormat(format).toBuffer();
      const profiled = await picture.clone().withIccProfile('p3').toFormat(format).toBuffer();
      expect(readPictureHeader(new Uint8Array(plain))?.profileBytes).toBe(0);
      const { profileBytes = 0 } = readPictureHeader(new Uint8Array(profiled)) ?? {};
      expect(profileBytes).toBeGreaterThan(200);
      expect(profileBytes).toBeLessThanOrEqual(profiled.length - plain.length);
    },
  );

  test('readPictureHeader() sees that a webp or a png moves', async () => {
    const frames = Buffer.alloc(32 * 64 * 3, 7).fill(200, 32 * 32 * 3);
    const raw = { width: 32, height: 64, channels: 3, pageHeight: 32 } as const;
    const webp = await sharp(frames, { raw }).webp({ loop: 0 }).toBuffer();
    expect(readPictureHeader(new Uint8Array(webp))).toMatchObject({ animated: true });
    const png = await encode('png', {});
    // acTL: two frames, played for ever; its CRC is nobody's business here.
    const acTl = [0, 0, 0, 8, ...Buffer.from('acTL'), 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    const apng = Uint8Array.from([...png.subarray(0, 33), ...acTl, ...png.subarray(33)]);
    expect(readPictureHeader(apng)).toMatchObject({ format: 'png', animated: true, whole: true });
  });

  test('readPictureHeader() ends on a png that consists of empty chunks', async () => {
    const png = await encode('png', {});
    const empty = Buffer.alloc(12 * 100_000);
    for (let at = 4; at < empty.length; at += 12) empty.write('teSt', at, 'latin1');
    const bytes = new Uint8Array(Buffer.concat([png.subarray(0, 33), empty, png.subarray(33)]));
    expect(readPictureHeader(bytes)).toMatchObject({ width: 144, whole: true });
  });

  test('readPictureHeader() ends on a jpeg whose segments lead nowhere', () => {
    const bytes = Uint8Array.from([0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff, ...new Array(60).fill(0)]);
    expect(readPictureHeader(bytes)).toBeUndefined();
  });
});
