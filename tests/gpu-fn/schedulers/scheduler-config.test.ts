import { describe, expect, it } from 'vitest';
import { SchedulerError } from '../../../gpu-fn/schedulers/scheduler.ts';
import { parseSchedulerConfig } from '../../../gpu-fn/schedulers/scheduler-config.ts';

describe('parseSchedulerConfig()', () => {
  it('parseSchedulerConfig() fills in the constants of PixArt and keeps the keys it does not know', () => {
    expect(parseSchedulerConfig({ solver_order: 2, lambda_min_clipped: null })).toEqual({
      num_train_timesteps: 1000,
      beta_start: 1e-4,
      beta_end: 0.02,
      beta_schedule: 'linear',
      trained_betas: null,
      rescale_betas_zero_snr: false,
      thresholding: false,
      prediction_type: 'epsilon',
      solver_order: 2,
      lambda_min_clipped: null,
    });
  });

  it.each([
    ['no object', 5, 'scheduler_config'],
    ['an unknown schedule', { beta_schedule: 'sigmoid' }, 'beta_schedule'],
    ['an unknown prediction', { prediction_type: 'flow' }, 'prediction_type'],
    ['a beta of 1', { beta_end: 1 }, 'beta_end'],
    ['no timesteps', { num_train_timesteps: 0 }, 'num_train_timesteps'],
    ['too many timesteps', { num_train_timesteps: 10_001 }, 'num_train_timesteps'],
    ['rescaled betas', { rescale_betas_zero_snr: true }, 'rescale_betas_zero_snr'],
  ])('parseSchedulerConfig() refuses %s and names the key', (_, config, key) => {
    expect(() => parseSchedulerConfig(config)).toThrow(SchedulerError);
    expect(() => parseSchedulerConfig(config)).toThrow(key);
  });
});
