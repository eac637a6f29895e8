import { describe, expect, it } from 'vitest';
import { relativeBucket } from '../../../../gpu-fn/convert/graphs/t5-encoder.ts';
import { T5Encoder } from '../../../../gpu-fn/models/t5-encoder.ts';
import { largestDifference } from '../../../helpers/compare-tensors.ts';
import { fixtureBundle } from '../../../helpers/hash-checkpoint.ts';

describe('the T5 encoder', () => {
  it('embeds real tokens as transformers embeds them among pads', async () => {
    await using fixture = await fixtureBundle();
    await using encoder = await T5Encoder.load(fixture.bundle);
    const embeds = await encoder.embed(Int32Array.of(5, 7, 9, 11, 1));
    expect(embeds.length).toBe(5 * 32);
    // float32 sums in another order; values given to 6 decimals
    expect(
      largestDifference(
        embeds.slice(0, 6),
        [-2.246208, 0.400069, 0.776666, 0.33211, 1.722782, 0.49335],
      ),
    ).toBeLessThan(1e-4);
    expect(
      largestDifference(
        embeds.slice(4 * 32, 4 * 32 + 6),
        [-0.612099, 1.994648, 1.431142, 0.654552, -0.891485, 0.023349],
      ),
    ).toBeLessThan(1e-4);
    expect(largestDifference(embeds.slice(-3), [0.092414, -0.583044, -0.898628])).toBeLessThan(
      1e-4,
    );
  });

  it('takes texts of one token and of more tokens than the bias has buckets', async () => {
    await using fixture = await fixtureBundle();
    await using encoder = await T5Encoder.load(fixture.bundle);
    expect((await encoder.embed(Int32Array.of(1))).length).toBe(32);
    const long = await encoder.embed(new Int32Array(300).fill(5));
    expect(long.length).toBe(300 * 32);
    expect(long.every((value) => Number.isFinite(value))).toBe(true);
  });
});

describe('relativeBucket()', () => {
  it('gives the published table for 32 buckets and distance 128', () => {
    const starts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]; // of buckets 0–15
    for (const [bucket, start] of starts.entries()) {
      const end = (starts[bucket + 1] ?? 201) - 1;
      for (const distance of [start, end]) {
        expect(relativeBucket(-distance, 32, 128), `−${distance}`).toBe(bucket);
        if (distance > 0)
          expect(relativeBucket(distance, 32, 128), `${distance}`).toBe(16 + bucket);
      }
    }
  });
});
