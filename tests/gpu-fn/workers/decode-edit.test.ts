import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeEdit } from '../../../gpu-fn/workers/decode-edit.ts';

const uri = async (channels: 1 | 3, value: number) => {
  const raw = { width: 32, height: 16, channels };
  const png = await sharp(Buffer.alloc(32 * 16 * channels, value), { raw })
    .png()
    .toBuffer();
  return `data:image/png;base64,${png.toString('base64')}`;
};

describe('decodeEdit()', () => {
  it('is undefined where there is no picture', async () => {
    expect(await decodeEdit({ strength: 0.8 })).toBeUndefined();
  });

  it('gives picture, mask and strength', async () => {
    const edit = await decodeEdit({
      image: await uri(3, 90),
      mask: await uri(1, 255),
      strength: 0.5,
    });
    expect(edit).toMatchObject({
      strength: 0.5,
      image: { width: 32, height: 16, channels: 3 },
      mask: { width: 32, height: 16 },
    });
    expect(new Set(edit?.mask?.data)).toEqual(new Set([255]));
  });

  it('names the field whose picture cannot be read', async () => {
    const broken = 'data:image/png;base64,AAAA';
    await expect(
      decodeEdit({ image: await uri(3, 90), mask: broken, strength: 1 }),
    ).rejects.toMatchObject({ code: 'image_invalid', param: 'mask' });
  });
});
