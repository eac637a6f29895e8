/**
 * Betas and their cumulative products, equal to PyTorch's to the last bit.
 *
 * @see Ho et al. 2020, Denoising Diffusion Probabilistic Models, §2 (arXiv:2006.11239)
 */
import { SchedulerError } from './scheduler.ts';
import type { SchedulerConfig } from './scheduler-config.ts';

export interface NoiseSchedule {
  /** float32 `[num_train_timesteps]`, ᾱ: the part of the image's variance left at each timestep */
  readonly alphasCumprod: Float32Array;
}

const { fround } = Math;

/** @throws {SchedulerError} when `trained_betas` has another length than `num_train_timesteps` */
export function createNoiseSchedule(config: SchedulerConfig): NoiseSchedule {
  return { alphasCumprod: cumulativeProduct(createBetas(config).map((beta) => 1 - beta)) };
}

/** @returns float32 `[num_train_timesteps]` */
export function createBetas(config: SchedulerConfig): Float32Array {
  const { num_train_timesteps: length, beta_start: start, beta_end: end } = config;
  if (config.trained_betas !== null) {
    if (config.trained_betas.length !== length) {
      throw new SchedulerError(
        `scheduler_config: trained_betas has ${config.trained_betas.length} entries, not ${length}`,
      );
    }
    return Float32Array.from(config.trained_betas);
  }
  return config.beta_schedule === 'linear'
    ? linspace(start, end, length)
    : linspace(Math.sqrt(start), Math.sqrt(end), length).map((root) => root * root);
}

/** `torch.linspace` in float32: counted from the nearer end, each value rounded once. */
function linspace(start: number, end: number, length: number): Float32Array {
  const first = fround(start);
  const last = fround(end);
  const step = length === 1 ? 0 : fround(fround(last - first) / (length - 1));
  return Float32Array.from({ length }, (_, i) =>
    i < length / 2 ? first + step * i : last - step * (length - 1 - i),
  );
}

/** `torch.cumprod` of float32 values: the running product is kept in double precision. */
function cumulativeProduct(values: Float32Array): Float32Array {
  let product = 1;
  return values.map((value) => {
    product *= value;
    return product;
  });
}
