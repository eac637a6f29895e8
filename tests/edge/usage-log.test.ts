import { describe, expect, test } from 'vitest';
import { UsageLog } from '../../edge/usage-log.ts';

const JAN_31 = Date.UTC(2026, 0, 31, 23, 59);
const FEB_1 = Date.UTC(2026, 1, 1, 0, 1);

describe('UsageLog', () => {
  test('UsageLog.add() sums by day', () => {
    const log = new UsageLog(undefined);
    log.add({ generations: 1, requests: 3 }, JAN_31);
    log.add({ generations: 2, compute_ms: 40 }, JAN_31);
    log.add({ failed: 1 }, FEB_1);
    const none = { requests: 0, generations: 0, completed: 0, failed: 0, canceled: 0 };
    expect(log.state.days).toEqual([
      { ...none, date: '2026-01-31', requests: 3, generations: 3, refused: 0, compute_ms: 40 },
      { ...none, date: '2026-02-01', failed: 1, refused: 0, compute_ms: 0 },
    ]);
  });

  test('UsageLog.generations() counts in the period that the moment lies in', () => {
    const log = new UsageLog(undefined);
    log.add({ generations: 5 }, Date.UTC(2026, 0, 2));
    log.add({ generations: 1 }, JAN_31);
    expect(
      (['day', 'month', 'total'] as const).map((period) => log.generations(period, JAN_31)),
    ).toEqual([1, 6, 6]);
    expect(
      (['day', 'month', 'total'] as const).map((period) => log.generations(period, FEB_1)),
    ).toEqual([0, 0, 6]);
  });

  test('UsageLog.add() gives nothing back when the clock is set back', () => {
    const log = new UsageLog(undefined);
    log.add({ generations: 1 }, FEB_1);
    log.add({ generations: 1 }, JAN_31);
    expect(log.generations('day', FEB_1)).toBe(2);
  });

  test('UsageLog forgets the oldest days, and not what was drawn in all', () => {
    const log = new UsageLog(undefined);
    for (let day = 0; day < 100; day += 1) log.add({ generations: 1 }, FEB_1 + day * 86_400_000);
    expect(log.state.days).toHaveLength(92);
    expect(new UsageLog(log.state).generations('total', FEB_1)).toBe(100);
  });
});
