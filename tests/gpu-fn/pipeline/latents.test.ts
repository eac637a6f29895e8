import { describe, expect, it } from 'vitest';
import { assertFinite, initialLatents, NonFiniteError } from '../../../gpu-fn/pipeline/latents.ts';
import { createRandom } from '../../../gpu-fn/tensor/random.ts';

const shape = { channels: 4, height: 2, width: 3 };

describe('initialLatents()', () => {
  it('initialLatents() are the first values of the stream, times the initial sigma', () => {
    const plain = initialLatents(shape, { random: createRandom(1), initNoiseSigma: 1 });
    const doubled = initialLatents(shape, { random: createRandom(1), initNoiseSigma: 2 });
    expect(plain).toEqual(createRandom(1).normal(24));
    expect(doubled).toEqual(plain.map((value) => 2 * value));
  });
});

describe('assertFinite()', () => {
  it('assertFinite() passes the largest and smallest float32', () => {
    assertFinite(Float32Array.of(3.4028234e38, -3.4028234e38, 1e-45), 'stage');
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'assertFinite() names the stage and the place of %s',
    (value) => {
      const check = () => assertFinite(Float32Array.of(0, value), 'decoder');
      expect(check).toThrow(NonFiniteError);
      expect(check).toThrow(`decoder: value 1 of 2 is ${value}`);
    },
  );
});
