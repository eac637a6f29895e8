/** The small form of `bench/promises/one-execution.ts`. */
import { expect, test } from 'vitest';
import { measureOneExecution } from '../../bench/promises/one-execution.ts';

test('measureOneExecution() finds the promise kept: one execution for each distinct request', {
  timeout: 240_000,
}, async () => {
  const { findings, kept } = await measureOneExecution({
    seed: 20_261_124,
    small: true,
    progress: () => undefined,
  });
  expect(findings).toEqual([]);
  expect(kept).toBe(true);
});
