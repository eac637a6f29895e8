/** The small form of `bench/promises/fuzz.ts`. */
import { expect, test } from 'vitest';
import { measureFuzz } from '../../bench/promises/fuzz.ts';

test('measureFuzz() finds no 5xx and no secret in 300 requests', { timeout: 240_000 }, async () => {
  const { findings, kept, figures } = await measureFuzz({
    seed: 20_261_124,
    small: true,
    progress: () => undefined,
  });
  expect(findings).toEqual([]);
  expect(kept).toBe(true);
  // A run in which nothing was accepted would prove little.
  expect(figures['2xx']).toBeGreaterThan(10);
});
