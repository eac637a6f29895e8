import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeControl } from '../../../gpu-fn/workers/decode-control.ts';

async function png(width: number, height: number): Promise<Buffer> {
  const create = {
    width,
    height,
    channels: 4,
    background: { r: 9, g: 8, b: 7, alpha: 0.5 },
  } as const;
  return await sharp({ create }).png().toBuffer();
}
const uri = (bytes: Uint8Array, type = 'png') =>
  `data:image/${type};base64,${Buffer.from(bytes).toString('base64')}`;
const decode = (image: string) => decodeControl({ control_image: image, control_scale: 0.5 });

describe('decodeControl()', () => {
  it('decodes a picture and keeps the scale', async () => {
    const control = await decode(uri(await png(32, 16)));
    expect(control).toMatchObject({ scale: 0.5, image: { width: 32, height: 16, channels: 4 } });
    expect([...control!.image.data.slice(0, 4)]).toEqual([9, 8, 7, 128]);
  });

  it('decodes nothing where nothing was sent', async () => {
    expect(await decodeControl({ control_scale: 1 })).toBeUndefined();
  });

  it.each([
    ['no URI', async () => 'https://example.com/x.png'],
    ['broken base64', async () => 'data:image/png;base64,###'],
    ['no picture', async () => uri(Buffer.from('GIF89a, or so'))],
    ['nothing at all', async () => 'data:image/png;base64,'],
    ['half a picture', async () => uri((await png(64, 64)).subarray(0, 80))],
    ['a picture of 8 pixels', async () => uri(await png(8, 8))],
    ['a long picture', async () => uri(await png(4112, 16))],
    ['too many pixels', async () => uri(await png(4096, 1040))],
  ])('refuses %s', async (_what, make) => {
    await expect(decode(await make())).rejects.toMatchObject({
      code: 'image_invalid',
      param: 'control_image',
    });
  });
});
