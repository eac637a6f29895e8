import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import type { TakeResult } from '../../edge/api-key.ts';
import { ReadLeases } from '../../edge/read-leases.ts';
import { fullBucket, takeTokens, viewBucket } from '../../edge/token-bucket.ts';

/** A bucket that several isolates lease from, as the key's object has it. */
function setUp(readsPerMinute: number) {
  const state = { nowMs: 0, asked: 0, isDown: false };
  let bucket = fullBucket({ rate: readsPerMinute, burst: readsPerMinute }, 0);
  const isolate = () => {
    const leases = new ReadLeases({
      readsPerMinute,
      now: () => state.nowMs,
      take: async (_id, limits, { count, unused }): Promise<TakeResult> => {
        state.asked += 1;
        if (state.isDown) throw new Error('gone');
        bucket = { ...bucket, tokens: Math.min(limits.burst, bucket.tokens + unused) };
        const taken = takeTokens(bucket, limits, { nowMs: state.nowMs, count });
        bucket = taken.state;
        return { taken: taken.taken, revoked: false, ...viewBucket(bucket, limits, state.nowMs) };
      },
    });
    const waiting: Promise<unknown>[] = [];
    const take = () =>
      leases.take('k', { waitUntil: (work) => void waiting.push(work) }).then(
        () => 'admitted',
        (error: ServiceError) => error.code,
      );
    return { take, settle: () => Promise.all(waiting.splice(0)) };
  };
  return { state, isolate };
}

describe('ReadLeases', () => {
  test('ReadLeases ask the owner once for many requests', async () => {
    const { state, isolate } = setUp(1200);
    const { take } = isolate();
    for (let i = 0; i < 30; i += 1) expect(await take()).toBe('admitted');
    expect(state.asked).toBe(1);
  });

  test('ReadLeases top up before they run out, outside the request', async () => {
    const { state, isolate } = setUp(1200);
    const { take, settle } = isolate();
    for (let i = 0; i < 32; i += 1) await take();
    expect(state.asked).toBe(2);
    await settle();
    for (let i = 0; i < 40; i += 1) expect(await take()).toBe('admitted');
    expect(state.asked).toBeLessThanOrEqual(3);
  });

  test('ReadLeases admit exactly the budget, from three isolates in turn', async () => {
    const { isolate } = setUp(300);
    const isolates = [isolate(), isolate(), isolate()];
    let admitted = 0;
    for (let i = 0; i < 400; i += 1) {
      const { take, settle } = isolates[i % 3]!;
      if ((await take()) === 'admitted') admitted += 1;
      await settle();
    }
    // Nothing over; what an isolate has leased and not used may be under: 10 of 300 for each of the two others.
    expect(admitted).toBeLessThanOrEqual(300);
    expect(admitted).toBeGreaterThanOrEqual(280);
  });

  test('ReadLeases end after two seconds, and what was left goes back', async () => {
    const { state, isolate } = setUp(60);
    const { take } = isolate();
    // A block of two.
    await take();
    state.nowMs = 2000;
    for (let i = 0; i < 59; i += 1) expect(await take()).toBe('admitted');
  });

  test('ReadLeases say when to come back', async () => {
    const { isolate } = setUp(60);
    const { take, settle } = isolate();
    for (let i = 0; i < 60; i += 1) {
      await take();
      await settle();
    }
    expect(await take()).toBe('rate_limited');
  });

  test('ReadLeases admit nobody when the owner cannot be asked', async () => {
    const { state, isolate } = setUp(60);
    const { take } = isolate();
    state.isDown = true;
    expect(await take()).toBe('auth_unavailable');
    state.isDown = false;
    expect(await take()).toBe('admitted');
  });
});
