/** The small form of `bench/promises/isolation.ts`. */
import { expect, test } from 'vitest';
import { measureIsolation } from '../../bench/promises/isolation.ts';

test('measureIsolation() finds the promise kept: nobody gets what belongs to another account', {
  timeout: 240_000,
}, async () => {
  const { findings, figures } = await measureIsolation({
    seed: 20_261_124,
    small: true,
    progress: () => undefined,
  });
  expect(findings).toEqual([]);
  expect(figures.leaks).toBe(0);
});
