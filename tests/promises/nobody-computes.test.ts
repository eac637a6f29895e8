/** The small form of `bench/promises/nobody-computes.ts`. */
import { expect, test } from 'vitest';
import { measureDepartures } from '../../bench/promises/nobody-computes.ts';

test('measureDepartures() finds the promise kept: nobody computes for the departed', {
  timeout: 240_000,
}, async () => {
  const { findings, kept } = await measureDepartures({
    seed: 20_261_124,
    small: true,
    progress: () => undefined,
  });
  expect(findings).toEqual([]);
  expect(kept).toBe(true);
});
