/** The small form of `bench/promises/no-truncation.ts`. */
import { expect, test } from 'vitest';
import { measureTruncation } from '../../bench/promises/no-truncation.ts';

test('measureTruncation() finds the promise kept: no silent truncation', {
  timeout: 240_000,
}, async () => {
  const { findings, kept } = await measureTruncation({
    seed: 20_261_124,
    small: true,
    progress: () => undefined,
  });
  expect(findings).toEqual([]);
  expect(kept).toBe(true);
});
