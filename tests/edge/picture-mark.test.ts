import sharp, { type Sharp } from 'sharp';
import { describe, expect, test } from 'vitest';
import { readPictureHeader } from '#shared/picture-header.ts';
import { buildXmp } from '#shared/xmp.ts';
import { markPicture } from '../../edge/picture-mark.ts';
import { readXmp } from '../helpers/read-xmp.ts';

const xmp = buildXmp({ id: 'owner/hosted', revision: 'cd'.repeat(32) });
const mark = (file: Uint8Array) => markPicture(file, readPictureHeader(file)!, xmp);

function picture(channels: 3 | 4, width = 17) {
  const data = Uint8Array.from({ length: width * 5 * channels }, (_, i) => (i * 37) & 255);
  return sharp(data, { raw: { width, height: 5, channels } });
}

/** What an upstream of somebody else's may have written about a picture. */
const gossip = (image: Sharp) =>
  image
    .withExif({ IFD0: { ImageDescription: 'a private prompt' } })
    .withXmp(
      '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:creator="a private prompt"/></rdf:RDF></x:xmpmeta>',
    );

const files: [string, () => Promise<Buffer>][] = [
  ['png', () => picture(3).png().toBuffer()],
  ['png with alpha', () => picture(4).png().toBuffer()],
  ['png with gossip', () => gossip(picture(3)).png().toBuffer()],
  ['jpeg', () => picture(3).jpeg().toBuffer()],
  ['jpeg with gossip', () => gossip(picture(3)).jpeg().toBuffer()],
  ['lossy webp', () => picture(3).webp().toBuffer()],
  ['lossless webp', () => picture(3).webp({ lossless: true }).toBuffer()],
  ['lossless webp with alpha', () => picture(4, 300).webp({ lossless: true }).toBuffer()],
  ['lossy webp with alpha', () => picture(4).webp().toBuffer()],
  ['webp with gossip', () => gossip(picture(4)).webp().toBuffer()],
];

describe('markPicture()', () => {
  test.each(files)(
    'markPicture() keeps the pixels of a %s and says how it came about',
    async (_, make) => {
      const before = await make();
      const after = Buffer.from(mark(before));
      const pixels = (file: Buffer) => sharp(file).raw().toBuffer({ resolveWithObject: true });
      expect(await pixels(after)).toEqual(await pixels(before));
      expect(readXmp(after)?.packet).toBe(xmp);
      const { exif, xmp: found } = await sharp(after).metadata();
      expect([exif, found?.toString()]).toEqual([undefined, xmp]);
      expect(after.toString('latin1')).not.toContain('private');
      expect(readPictureHeader(after)).toEqual(readPictureHeader(before));
    },
  );

  test.each(files)('markPicture() changes nothing more in a marked %s', async (_, make) => {
    const once = mark(await make());
    expect(mark(once)).toEqual(once);
  });

  test('markPicture() drops what is hidden behind the end of a PNG', async () => {
    const file = Buffer.concat([await picture(3).png().toBuffer(), Buffer.from('private')]);
    const header = { ...readPictureHeader(file)!, whole: true };
    expect(Buffer.from(markPicture(file, header, xmp)).toString('latin1')).not.toContain('private');
  });

  test.each([
    ['png', 'a chunk that is longer than the file', 33, 0xff],
    ['jpeg', 'a segment without a marker', 2, 0x00],
    ['webp', 'a chunk that is longer than the file', 18, 0xff],
  ] as const)('markPicture() refuses a %s with %s', async (format, _, at, value) => {
    const file = await picture(3)[format]().toBuffer();
    const header = readPictureHeader(file)!;
    file[at] = value;
    expect(() => markPicture(file, header, xmp)).toThrow(RangeError);
  });
});
