import { parseProgressFromLogs } from 'replicate';
import { describe, expect, it } from 'vitest';
import { parseProgressLine, progressLine } from '#shared/progress-line.ts';

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

describe('parseProgressLine()', () => {
  it('reads what progressLine() writes', () => {
    const line = progressLine({ done: 3, total: 8, elapsedMs: 10 });
    expect(parseProgressLine(line)).toEqual({ done: 3, total: 8 });
  });

  it.each(['', 'loading weights', '3/8', ' 50%|█| 9/8 [', ' 0%|█| 0/4 ['])(
    'finds no progress in %j',
    (line) => {
      expect(parseProgressLine(line)).toBeUndefined();
    },
  );
});
