import { describe, expect, test } from 'vitest';
import { bucketOf, fullBucket, refill, takeTokens, viewBucket } from '../../edge/token-bucket.ts';

/** One token a second, ten at most. */
const limits = { rate: 60, burst: 10 };

describe('takeTokens()', () => {
  test('takeTokens() gives whole tokens, as many as there are', () => {
    const full = fullBucket(limits, 0);
    const { state, taken } = takeTokens(full, limits, { nowMs: 0, count: 12 });
    expect([taken, state]).toEqual([10, { tokens: 0, atMs: 0 }]);
    expect(takeTokens(state, limits, { nowMs: 999, count: 1 }).taken).toBe(0);
    expect(takeTokens(state, limits, { nowMs: 1000, count: 1 }).taken).toBe(1);
  });

  test('takeTokens() loses no fraction of a token between calls', () => {
    let state = { tokens: 0, atMs: 0 };
    let taken = 0;
    for (let nowMs = 0; nowMs <= 60_000; nowMs += 7) {
      const result = takeTokens(state, limits, { nowMs, count: 1 });
      state = result.state;
      taken += result.taken;
    }
    // 60 tokens in a minute; the last may be a rounding of binary fractions away.
    expect(taken).toBeGreaterThanOrEqual(59);
    expect(taken).toBeLessThanOrEqual(60);
  });
});

describe('refill()', () => {
  test('refill() stops at the burst', () => {
    expect(refill({ tokens: 9.5, atMs: 0 }, limits, 10_000).tokens).toBe(10);
  });

  test('refill() gives no credit to a clock that jumps back, and then forward again', () => {
    const state = refill({ tokens: 0, atMs: 10_000 }, limits, 4000);
    expect(state).toEqual({ tokens: 0, atMs: 10_000 });
    expect(refill(state, limits, 11_000).tokens).toBe(1);
  });
});

describe('viewBucket()', () => {
  test('viewBucket() says how long until one more, and until full', () => {
    expect(viewBucket({ tokens: 3.25, atMs: 0 }, limits, 0)).toEqual({
      remaining: 3,
      nextMs: 750,
      fullMs: 6750,
    });
    expect(viewBucket(fullBucket(limits, 0), limits, 0)).toEqual({
      remaining: 10,
      nextMs: 0,
      fullMs: 0,
    });
  });
});

describe('bucketOf()', () => {
  test('bucketOf() is never poorer than the bucket that was looked at', () => {
    for (const tokens of [0, 0.001, 0.25, 0.999, 3.5, 9.99, 10]) {
      const view = viewBucket({ tokens, atMs: 0 }, limits, 0);
      const guessed = bucketOf(view, limits, 0).tokens;
      expect(guessed).toBeGreaterThanOrEqual(tokens - 1e-9);
      // A millisecond of rounding, a millisecond of grace.
      expect(guessed).toBeLessThanOrEqual(tokens + 0.0021);
    }
  });
});
