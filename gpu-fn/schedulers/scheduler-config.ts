/**
 * `scheduler_config.json` as diffusers writes it and a bundle's manifest carries it (Python's `-Infinity`,
 * which JSON cannot hold, is null there).
 *
 * The file is the single source of every value; what it leaves out takes PixArt's constants, never the
 * defaults of a scheduler class (those of LCM are Stable Diffusion's betas, and blur the picture).
 */
import * as z from 'zod';
import { SchedulerError } from './scheduler.ts';

export const PREDICTION_TYPES = ['epsilon', 'v_prediction', 'sample'] as const;
export type PredictionType = (typeof PREDICTION_TYPES)[number];

/** The bound of training timesteps; every published model has 1000. */
export const TRAIN_TIMESTEPS_MAX = 10_000;

const beta = z.number().gt(0).lt(1);

/** Unknown keys stay: each sampler reads those that are its own. */
export const schedulerConfig = z.looseObject({
  num_train_timesteps: z.int().min(1).max(TRAIN_TIMESTEPS_MAX).default(1000),
  beta_start: beta.default(1e-4),
  beta_end: beta.default(0.02),
  beta_schedule: z.enum(['linear', 'scaled_linear']).default('linear'),
  trained_betas: z.array(beta).nullable().default(null),
  rescale_betas_zero_snr: z.literal(false).default(false),
  prediction_type: z.enum(PREDICTION_TYPES).default('epsilon'),
  thresholding: z.literal(false).default(false), // for pixel-space models only
});
export type SchedulerConfig = z.infer<typeof schedulerConfig>;

/** Keys of the samplers that may clip the image they predict; latents are not bounded, so absent means no. */
export const clippingConfig = {
  clip_sample: z.boolean().default(false),
  clip_sample_range: z.number().gt(0).default(1),
} as const;

/** @throws {SchedulerError} naming the first key that is wrong */
export function parseSchedulerConfig(value: unknown): SchedulerConfig {
  return parseConfig(schedulerConfig, value);
}

/** The same for the keys of one sampler. */
export function parseConfig<T extends z.ZodType>(schema: T, value: unknown): z.infer<T> {
  const result = schema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new SchedulerError(`scheduler_config: ${issue?.path.join('.')}: ${issue?.message}`, {
      cause: result.error,
    });
  }
  return result.data;
}
