import { describe, expect, test } from 'vitest';
import { RetryBudget } from '../../../edge/upstreams/retry-budget.ts';

function budget() {
  const clock = { nowMs: 1_000_000 };
  return { clock, budget: new RetryBudget({ now: () => clock.nowMs }) };
}

describe('RetryBudget', () => {
  test('RetryBudget allows a tenth of the requests of the last minute, to one', () => {
    const { budget: it } = budget();
    for (let i = 0; i < 200; i += 1) it.countRequest();
    const taken = Array.from({ length: 100 }, () => it.takeRetry()).filter(Boolean);
    expect(taken).toHaveLength(20);
  });

  test('RetryBudget allows three however few the requests', () => {
    const { budget: it } = budget();
    expect([1, 2, 3, 4].map(() => it.takeRetry())).toEqual([true, true, true, false]);
  });

  test('RetryBudget forgets what is older than a minute', () => {
    const { budget: it, clock } = budget();
    for (let i = 0; i < 200; i += 1) it.countRequest();
    for (let i = 0; i < 20; i += 1) it.takeRetry();
    clock.nowMs += 49_000;
    expect(it.takeRetry()).toBe(false);
    clock.nowMs += 11_000;
    expect([1, 2, 3, 4].map(() => it.takeRetry())).toEqual([true, true, true, false]);
  });

  test('RetryBudget keeps to a tenth while requests keep coming for ten minutes', () => {
    const { budget: it, clock } = budget();
    let taken = 0;
    for (let i = 0; i < 6000; i += 1) {
      it.countRequest();
      if (it.takeRetry()) taken += 1;
      clock.nowMs += 100;
    }
    expect(taken / 6000).toBeLessThanOrEqual(0.105);
    expect(taken / 6000).toBeGreaterThan(0.09);
  });
});
