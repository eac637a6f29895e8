import { describe, expect, it } from 'vitest';
import { OnnxVaeDecoder } from '../../../../gpu-fn/models/vae-decoder.ts';
import { largestDifference, mean, meanMagnitude } from '../../../helpers/compare-tensors.ts';
import { fixtureBundle } from '../../../helpers/hash-checkpoint.ts';
import { hashInput } from '../../../helpers/hash-tensor.ts';

const SCALING_FACTOR = 0.18215;

describe('the VAE decoder', () => {
  it('decodes latents as diffusers does', async () => {
    await using fixture = await fixtureBundle();
    await using decoder = await OnnxVaeDecoder.load(fixture.bundle);
    // The reference takes unscaled latents.
    const latents = hashInput('latents', [1, 4, 4, 4]).map((value) => value * SCALING_FACTOR);
    const sample = await decoder.decodeSample({ latents, height: 4, width: 4 });
    expect(sample.length).toBe(3 * 8 * 8);
    // float32 sums in another order; values given to 6 decimals
    expect(
      largestDifference(
        sample.slice(0, 6),
        [-0.207905, -0.526961, 0.023554, -0.17416, -0.497104, 0.183543],
      ),
    ).toBeLessThan(1e-4);
    expect(largestDifference(sample.slice(-3), [0.253723, 0.245474, -0.041336])).toBeLessThan(1e-4);
    expect(mean(sample)).toBeCloseTo(0.0862192, 5);
    expect(meanMagnitude(sample)).toBeCloseTo(0.3852001, 5);
  });

  it('rounds pixels half to even, clamped, channels last', async () => {
    await using fixture = await fixtureBundle();
    await using decoder = await OnnxVaeDecoder.load(fixture.bundle);
    const args = { latents: hashInput('latents', [1, 4, 4, 4]), height: 4, width: 4 };
    const sample = await decoder.decodeSample(args);
    const pixels = await decoder.decode(args);
    expect(pixels.length).toBe(8 * 8 * 3);
    for (const [i, byte] of pixels.entries()) {
      const [pixel, channel] = [Math.floor(i / 3), i % 3];
      const value = Math.min(Math.max(sample[channel * 64 + pixel]! / 2 + 0.5, 0), 1) * 255;
      expect(Math.abs(value - byte)).toBeLessThanOrEqual(0.5 + 1e-4);
    }
    expect(new Set(pixels).size).toBeGreaterThan(10);
  });
});
