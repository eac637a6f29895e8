import { expect, it } from 'vitest';
import { OnnxVaeDecoder } from '../../../gpu-fn/models/vae-decoder.ts';
import { fixtureBundle } from '../../helpers/hash-checkpoint.ts';
import { hashInput } from '../../helpers/hash-tensor.ts';

it('OnnxVaeDecoder.decode() takes any size and refuses latents that do not fill it', async () => {
  await using fixture = await fixtureBundle();
  await using decoder = await OnnxVaeDecoder.load(fixture.bundle);
  expect([decoder.channels, decoder.scaleFactor, decoder.scalingFactor]).toEqual([3, 2, 0.18215]);
  const latents = hashInput('latents', [1, 4, 3, 5]);
  expect((await decoder.decode({ latents, height: 3, width: 5 })).length).toBe(6 * 10 * 3);
  await expect(decoder.decode({ latents, height: 3, width: 4 })).rejects.toThrow(RangeError);
});
