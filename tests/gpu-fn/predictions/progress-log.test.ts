import { parseProgressFromLogs } from 'replicate';
import { describe, expect, it } from 'vitest';
import { progressLine } from '../../../gpu-fn/predictions/progress-log.ts';

describe('progressLine()', () => {
  it('looks like a line of tqdm', () => {
    expect(progressLine({ done: 2, total: 4, elapsedMs: 61_000 })).toBe(
      ' 50%|█████     | 2/4 [01:01<01:01]\n',
    );
  });

  it.each([1, 2, 3, 4])('of step %i is understood by Replicate’s client', (done) => {
    const line = progressLine({ done, total: 4, elapsedMs: 10 });
    expect(parseProgressFromLogs(line)).toEqual({
      percentage: done / 4,
      current: done,
      total: 4,
    });
  });
});
