/** The small form of `bench/promises/limits.ts`. */
import { expect, test } from 'vitest';
import { measureLimits } from '../../bench/promises/limits.ts';

test('measureLimits() finds the promise kept: none over, none under, and revoked within two seconds', {
  timeout: 240_000,
}, async () => {
  const { findings, figures } = await measureLimits({
    seed: 20_261_124,
    small: true,
    progress: () => undefined,
  });
  expect(findings).toEqual([]);
  expect(figures).toMatchObject({ over: 0, under: 0 });
});
