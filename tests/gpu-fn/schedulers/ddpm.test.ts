import { describe, expect, it } from 'vitest';
import { createDdpmScheduler } from '../../../gpu-fn/schedulers/ddpm.ts';
import { SchedulerError } from '../../../gpu-fn/schedulers/scheduler.ts';
import { createRandom } from '../../../gpu-fn/tensor/random.ts';
import { expectFixture, expectGoldenSteps, samplerGoldens } from '../../helpers/sampler-goldens.ts';

describe('createDdpmScheduler()', () => {
  it.each(samplerGoldens('ddpm'))('steps as diffusers does: $name', (golden) => {
    expectGoldenSteps(createDdpmScheduler(golden.config), golden);
  });

  it('reaches the reference values in 20 steps', () => {
    const schedule = createDdpmScheduler({}).schedule(20);
    expectFixture(schedule, [-5.505057, -15.640275, 0.800455, 0.185843], 12.04183);
  });

  it('says whether it reads the learned variance, and refuses to go without', () => {
    expect(createDdpmScheduler({ variance_type: null }).readsVariance).toBe(false);
    const learned = createDdpmScheduler({ variance_type: 'learned_range' });
    expect(learned.readsVariance).toBe(true);
    const sample = new Float32Array(16).fill(1);
    const args = { stepIndex: 0, noisePred: sample, sample, random: createRandom(0) };
    expect(() => learned.schedule(2).step(args)).toThrow(SchedulerError);
  });

  it('refuses a variance_type that it cannot follow', () => {
    expect(() => createDdpmScheduler({ variance_type: 'fixed_small_log' })).toThrow(
      'variance_type',
    );
  });
});
