import { expect, test } from 'vitest';
import { StageTimes } from '../../edge/timing.ts';

test('StageTimes prints stages in their order, total last', async () => {
  let nowMs = 0;
  const times = new StageTimes(() => nowMs);
  times.set('vae', 20.04);
  times.set('queue', undefined);
  await times.measure('auth', async () => {
    nowMs += 1.26;
  });
  nowMs += 5;
  expect(times.toHeader()).toBe('auth;dur=1.3, vae;dur=20, total;dur=6.3');
  expect(times.toObject()).toEqual({ auth: 1.3, vae: 20, total: 6.3 });
});

test('StageTimes.measure() adds up, also what fails, and is never negative', async () => {
  let nowMs = 10;
  const times = new StageTimes(() => nowMs);
  const step = async (ms: number, fail = false) => {
    nowMs += ms;
    if (fail) throw new Error('x');
  };
  await times.measure('cache', () => step(2));
  await expect(times.measure('cache', () => step(3, true))).rejects.toThrow('x');
  nowMs = 0;
  expect(times.toObject()).toEqual({ cache: 5, total: 0 });
});
