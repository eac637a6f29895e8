import { describe, expect, it } from 'vitest';
import { guide, isGuided } from '../../../gpu-fn/pipeline/guidance.ts';

describe('guide()', () => {
  it('goes from the negative prediction through the positive one', () => {
    const [conditional, unconditional] = [Float32Array.of(1, 2, 3), Float32Array.of(0, 2, 5)];
    const guided = guide(conditional, unconditional, { scale: 4.5, guidedLength: 3 });
    expect([...guided]).toEqual([4.5, 2, -4]);
  });

  it('leaves what is not guided as the prompt predicts it', () => {
    const [conditional, unconditional] = [Float32Array.of(1, 2), Float32Array.of(0, 0)];
    expect([...guide(conditional, unconditional, { scale: 3, guidedLength: 1 })]).toEqual([3, 2]);
  });
});

describe('isGuided()', () => {
  it.each([
    [0, false],
    [1, false],
    [1.01, true],
  ])('of %d is %s', (scale, guided) => {
    expect(isGuided(scale)).toBe(guided);
  });
});
