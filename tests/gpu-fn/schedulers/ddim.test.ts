import { describe, expect, it } from 'vitest';
import { createDdimScheduler } from '../../../gpu-fn/schedulers/ddim.ts';
import { SchedulerError } from '../../../gpu-fn/schedulers/scheduler.ts';
import { expectFixture, expectGoldenSteps, samplerGoldens } from '../../helpers/sampler-goldens.ts';

describe('createDdimScheduler()', () => {
  it.each(samplerGoldens('ddim'))('steps as diffusers does: $name', (golden) => {
    expectGoldenSteps(createDdimScheduler(golden.config), golden);
  });

  it('reaches the reference values in 20 steps', () => {
    const schedule = createDdimScheduler({}).schedule(20);
    expectFixture(schedule, [30.422621, -10.993142, -12.259439, -24.534073], -6.6642);
  });

  it('reaches the reference values with clipping, which only the configuration asks for', () => {
    const schedule = createDdimScheduler({ clip_sample: true }).schedule(20);
    expectFixture(schedule, [-0.211104, 0.236739, 0.634016, 0.256033], 0.82428);
  });

  it('with η = 1 adds the noise of DDPM', () => {
    const schedule = createDdimScheduler({}, { eta: 1 }).schedule(20);
    expectFixture(schedule, [-5.505057, -15.640275, 0.800455, 0.185843], 12.04183);
  });

  it('draws nothing with η = 0', () => {
    const sample = new Float32Array(16).fill(1);
    const random = {
      normal: () => {
        throw new Error('drawn');
      },
    };
    const schedule = createDdimScheduler({}).schedule(2);
    expect(schedule.timesteps).toEqual([500, 0]);
    schedule.step({ stepIndex: 0, noisePred: sample, sample, random });
  });

  it('refuses thresholding, which is for pixels', () => {
    expect(() => createDdimScheduler({ thresholding: true })).toThrow(SchedulerError);
  });
});
