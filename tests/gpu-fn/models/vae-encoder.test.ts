import { expect, it } from 'vitest';
import { OnnxVaeEncoder } from '../../../gpu-fn/models/vae-encoder.ts';
import { fixtureBundle } from '../../helpers/hash-checkpoint.ts';

it('OnnxVaeEncoder.encode() refuses sides that the scale factor does not divide', async () => {
  await using fixture = await fixtureBundle();
  await using encoder = await OnnxVaeEncoder.load(fixture.bundle);
  const encode = (height: number, width: number) =>
    encoder.encode({ sample: new Float32Array(3 * height * width), height, width });
  expect((await encode(4, 6)).mean.length).toBe(4 * 2 * 3);
  await expect(encode(5, 6)).rejects.toThrow('multiples of 2');
  await expect(
    encoder.encode({ sample: new Float32Array(4), height: 2, width: 2 }),
  ).rejects.toThrow(RangeError);
});
