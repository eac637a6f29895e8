import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createNoiseSchedule } from '../../../gpu-fn/schedulers/noise-schedule.ts';
import { SchedulerError } from '../../../gpu-fn/schedulers/scheduler.ts';
import { parseSchedulerConfig } from '../../../gpu-fn/schedulers/scheduler-config.ts';
import golden from '../../fixtures/golden/schedulers/noise-schedule.json' with { type: 'json' };

const sha256 = (values: Float32Array) =>
  createHash('sha256').update(Buffer.from(values.buffer)).digest('hex');

describe('createNoiseSchedule()', () => {
  it.each(golden)(
    'createNoiseSchedule() equals all 1000 values of diffusers, $beta_schedule',
    (run) => {
      const config = parseSchedulerConfig({ beta_schedule: run.beta_schedule });
      const { alphasCumprod } = createNoiseSchedule(config);
      for (const [i, value] of Object.entries(run.alphas_cumprod)) {
        expect(alphasCumprod[Number(i)]).toBe(Math.fround(value));
      }
      expect(alphasCumprod).toHaveLength(1000);
      expect(sha256(alphasCumprod)).toBe(run.sha256);
    },
  );

  it('createNoiseSchedule() uses trained betas as they are', () => {
    const config = parseSchedulerConfig({ num_train_timesteps: 2, trained_betas: [0.5, 0.5] });
    expect([...createNoiseSchedule(config).alphasCumprod]).toEqual([0.5, 0.25]);
  });

  it('createNoiseSchedule() refuses trained betas of another length', () => {
    const config = parseSchedulerConfig({ trained_betas: [0.5] });
    expect(() => createNoiseSchedule(config)).toThrow(SchedulerError);
    expect(() => createNoiseSchedule(config)).toThrow('trained_betas has 1 entries, not 1000');
  });
});
