import { describe, expect, it } from 'vitest';
import { OnnxVaeEncoder } from '../../../../gpu-fn/models/vae-encoder.ts';
import { largestDifference } from '../../../helpers/compare-tensors.ts';
import { fixtureBundle } from '../../../helpers/hash-checkpoint.ts';
import { hashInput } from '../../../helpers/hash-tensor.ts';

describe('the VAE encoder', () => {
  it('gives the mean and log variance that diffusers gives', async () => {
    await using fixture = await fixtureBundle();
    await using encoder = await OnnxVaeEncoder.load(fixture.bundle);
    const sample = hashInput('image', [1, 3, 8, 8]).map((value) => value * 0.3);
    const { mean, logvar } = await encoder.encode({ sample, height: 8, width: 8 });
    expect(mean.length).toBe(4 * 4 * 4);
    // float32 sums in another order; values given to 6 decimals
    expect(
      largestDifference(
        mean.slice(0, 6),
        [-0.394051, -0.585639, -1.599818, 0.330307, 0.386944, -0.59582],
      ),
    ).toBeLessThan(1e-4);
    expect(
      largestDifference(
        logvar.slice(0, 6),
        [0.516302, 0.080239, 0.659528, -0.546581, -0.593725, 0.016202],
      ),
    ).toBeLessThan(1e-4);
  });
});
