/**
 * Which of the training timesteps a run visits.
 *
 * @see Lin et al. 2023, Common Diffusion Noise Schedules and Sample Steps are Flawed, table 2 (arXiv:2305.08891)
 */
import * as z from 'zod';
import { SchedulerError } from './scheduler.ts';
import type { SchedulerConfig } from './scheduler-config.ts';

export const TIMESTEP_SPACINGS = ['linspace', 'leading', 'trailing'] as const;
export type TimestepSpacing = (typeof TIMESTEP_SPACINGS)[number];

/** @param usual  the spacing of a configuration that names none */
export function spacingConfig<const S extends TimestepSpacing>(usual: S) {
  return {
    timestep_spacing: z.enum(TIMESTEP_SPACINGS).default(usual as TimestepSpacing),
    steps_offset: z.int().min(0).max(100).default(0),
  };
}

type SpacingConfig = Pick<SchedulerConfig, 'num_train_timesteps'> & {
  readonly timestep_spacing: TimestepSpacing;
  readonly steps_offset: number;
};

/**
 * @param endsAtZero  whether the last step starts at the lowest timestep (DDIM, DDPM); solvers in σ leave it out, since
 *                    their last step ends there
 * @returns `count` timesteps, high to low
 * @throws {SchedulerError} when the count is no integer from 1 to the number of training timesteps
 */
export function spacedTimesteps(
  config: SpacingConfig,
  count: number,
  { endsAtZero }: { readonly endsAtZero: boolean },
): number[] {
  const { num_train_timesteps: trained, timestep_spacing: spacing, steps_offset: offset } = config;
  if (!Number.isInteger(count) || count < 1 || count > trained) {
    throw new SchedulerError(`num_inference_steps ${count} is not an integer from 1 to ${trained}`);
  }
  const points = endsAtZero ? count : count + 1;
  const left = points - count;
  const descending = Array.from({ length: count }, (_, i) => count - 1 - i + left);
  switch (spacing) {
    case 'linspace': {
      // torch and numpy give the start, 0, for a single point
      const step = points === 1 ? 0 : (trained - 1) / (points - 1);
      return descending.map((i) =>
        i > 0 && i === points - 1 ? trained - 1 : roundHalfToEven(i * step),
      );
    }
    case 'leading': {
      const stride = Math.floor(trained / points);
      return descending.map((i) => i * stride + offset);
    }
    case 'trailing': {
      const stride = trained / count;
      return Array.from({ length: count }, (_, i) => roundHalfToEven(trained - i * stride) - 1);
    }
    default:
      return spacing satisfies never;
  }
}

/**
 * The last part of a run, for one that starts from a picture: ⌊count · strength⌋ steps, and at least one unless the
 * strength is 0.
 */
export function firstStep(count: number, strength: number): number {
  if (strength === 0) return count;
  return count - Math.min(Math.max(Math.trunc(count * strength), 1), count);
}

/** As numpy and Python round. */
export function roundHalfToEven(value: number): number {
  const low = Math.floor(value);
  const fraction = value - low;
  if (fraction !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}
