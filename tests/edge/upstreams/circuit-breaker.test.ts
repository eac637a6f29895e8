import { beforeEach, describe, expect, test } from 'vitest';
import { CircuitBreaker } from '../../../edge/upstreams/circuit-breaker.ts';

let nowMs = 0;
let breaker: CircuitBreaker;
beforeEach(() => {
  nowMs = 1_000_000;
  breaker = new CircuitBreaker({ now: () => nowMs, probeMsMax: 60_000 });
});

const fail = (times: number) => {
  for (let i = 0; i < times; i += 1) breaker.acquire()!.fail();
};

describe('CircuitBreaker', () => {
  test('CircuitBreaker stays closed through four failures in a row and opens at the fifth', () => {
    fail(4);
    expect([breaker.state, breaker.waitMs]).toEqual(['closed', 0]);
    fail(1);
    expect([breaker.state, breaker.waitMs]).toEqual(['open', 5000]);
    expect(breaker.acquire()).toBeUndefined();
  });

  test('CircuitBreaker counts failures in a row only', () => {
    fail(4);
    breaker.acquire()!.succeed();
    fail(4);
    expect(breaker.state).toBe('closed');
  });

  test('CircuitBreaker learns nothing from a caller who leaves', () => {
    fail(4);
    breaker.acquire()!.release();
    fail(1);
    expect(breaker.state).toBe('open');
  });

  test('CircuitBreaker lets exactly one probe through when its time is up', () => {
    fail(5);
    nowMs += 4999;
    expect(breaker.acquire()).toBeUndefined();
    nowMs += 1;
    expect(breaker.state).toBe('half-open');
    const probe = breaker.acquire();
    expect(probe?.isProbe).toBe(true);
    expect([breaker.acquire(), breaker.waitMs]).toEqual([undefined, 1000]);
    probe!.succeed();
    expect([breaker.state, breaker.acquire()?.isProbe]).toEqual(['closed', false]);
  });

  test('CircuitBreaker rests twice as long after each probe that fails, up to a minute', () => {
    fail(5);
    const rests = [5000, 10_000, 20_000, 40_000, 60_000, 60_000].map((restMs) => {
      const { waitMs } = breaker;
      nowMs += restMs;
      breaker.acquire()!.fail();
      return waitMs;
    });
    expect(rests).toEqual([5000, 10_000, 20_000, 40_000, 60_000, 60_000]);
    nowMs += 60_000;
    breaker.acquire()!.succeed();
    fail(5);
    expect(breaker.waitMs).toBe(5000);
  });

  test('CircuitBreaker lets another probe go when one was left without a verdict', () => {
    fail(5);
    nowMs += 5000;
    breaker.acquire()!.release();
    expect(breaker.acquire()?.isProbe).toBe(true);
  });

  test('CircuitBreaker gives up a probe that was lost, and ignores what it says later', () => {
    fail(5);
    nowMs += 5000;
    const lost = breaker.acquire()!;
    nowMs += 60_000;
    const second = breaker.acquire();
    expect(second?.isProbe).toBe(true);
    lost.succeed();
    expect(breaker.state).toBe('half-open');
    second!.fail();
    expect(breaker.state).toBe('open');
  });

  test('CircuitBreaker is not closed by an answer to a call that began before it opened', () => {
    const early = breaker.acquire()!;
    const other = breaker.acquire()!;
    fail(5);
    early.succeed();
    other.fail();
    expect([breaker.state, breaker.waitMs]).toEqual(['open', 5000]);
  });
});
