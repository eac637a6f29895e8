import { describe, expect, it } from 'vitest';
import type { InferenceJob } from '../../../gpu-fn/workers/engine.ts';
import { Quarantine } from '../../../gpu-fn/workers/quarantine.ts';

const job = (seed: number) => ({ input: { prompt: 'a', seed }, previewCount: 0 }) as InferenceJob;

function create() {
  const clock = { nowMs: 1000 };
  const quarantine = new Quarantine({ now: () => clock.nowMs });
  const isRefused = (seed: number) => {
    try {
      quarantine.check(job(seed));
      return false;
    } catch (error) {
      expect(error).toMatchObject({ code: 'request_quarantined', status: 422, retryable: false });
      return true;
    }
  };
  return { clock, quarantine, isRefused };
}

describe('Quarantine', () => {
  it('Quarantine refuses an input after its second death, and no other', () => {
    const { quarantine, isRefused } = create();
    quarantine.countDeath(job(1));
    expect(isRefused(1)).toBe(false);
    quarantine.countDeath(job(1));
    expect([isRefused(1), isRefused(2)]).toEqual([true, false]);
  });

  it('Quarantine looks past the number of previews', () => {
    const { quarantine } = create();
    quarantine.countDeath(job(1));
    quarantine.countDeath({ ...job(1), previewCount: 3 });
    expect(() => quarantine.check({ ...job(1), previewCount: 2 })).toThrow();
  });

  it('Quarantine lets an input try again after ten minutes', () => {
    const { clock, quarantine, isRefused } = create();
    quarantine.countDeath(job(1));
    quarantine.countDeath(job(1));
    clock.nowMs += 599_999;
    expect(isRefused(1)).toBe(true);
    clock.nowMs += 1;
    expect(isRefused(1)).toBe(false);
  });

  it('Quarantine remembers 256 inputs and forgets the oldest first', () => {
    const { quarantine, isRefused } = create();
    for (let seed = 0; seed < 257; seed += 1) {
      quarantine.countDeath(job(seed));
      quarantine.countDeath(job(seed));
    }
    expect([isRefused(0), isRefused(1), isRefused(256)]).toEqual([false, true, true]);
  });
});
