import { describe, expect, it } from 'vitest';
import { createMersenneTwister, createRandom } from '../../../gpu-fn/tensor/random.ts';
import golden from '../../fixtures/golden/schedulers/random.json' with { type: 'json' };

/** One unit in the last place of the largest values; processors differ by that much, see random.ts. */
const TOLERANCE = 5e-7;

describe('createMersenneTwister()', () => {
  it('createMersenneTwister() gives the published 1st and 10,000th number of seed 5489', () => {
    const next = createMersenneTwister(5489);
    expect(next()).toBe(3_499_211_612);
    for (let i = 2; i < 10_000; i++) next();
    expect(next()).toBe(4_123_659_995); // ISO C++ [rand.predef] states this one
  });
});

describe('createRandom()', () => {
  it.each(golden)('Random.normal() continues the stream of torch.randn with seed $seed', (run) => {
    const random = createRandom(run.seed);
    for (const expected of run.draws) {
      const drawn = random.normal(expected.length);
      const error = Math.max(...drawn.map((value, i) => Math.abs(value - expected[i]!)));
      expect(drawn).toHaveLength(expected.length);
      expect(error).toBeLessThanOrEqual(TOLERANCE);
    }
  });

  it('Random.normal() draws nothing for length 0', () => {
    const random = createRandom(0);
    expect(random.normal(0)).toHaveLength(0);
    expect(random.normal(16)).toEqual(createRandom(0).normal(16));
  });

  it('createRandom() takes the low 32 bits of the seed, as PyTorch does', () => {
    expect(createRandom(2 ** 32 + 3).normal(16)).toEqual(createRandom(3).normal(16));
    expect(createRandom(2 ** 32 - 1).normal(16)).not.toEqual(createRandom(0).normal(16));
  });

  it.each([-1, 0.5, Number.NaN, 2 ** 53])('createRandom() refuses seed %s', (seed) => {
    expect(() => createRandom(seed)).toThrow(RangeError);
  });
});
