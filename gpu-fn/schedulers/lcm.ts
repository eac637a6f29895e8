/**
 * The latent consistency sampler: each step predicts the image, then adds fresh noise for the next.
 *
 * Follows diffusers' LCMScheduler operation by operation in float32. Where PyTorch takes square roots from
 * a maths library they may differ in the last bit; everything else is equal.
 *
 * @see Luo et al. 2023, Latent Consistency Models, algorithm 1 (arXiv:2310.04378)
 * @see diffusers src/diffusers/schedulers/scheduling_lcm.py
 */
import * as z from 'zod';
import { createNoiseSchedule } from './noise-schedule.ts';
import { addNoise, clipTo, predictImage, rates, timestepOf } from './prediction.ts';
import { type Scheduler, SchedulerError, type StepArgs, type StepResult } from './scheduler.ts';
import { clippingConfig, parseConfig, schedulerConfig } from './scheduler-config.ts';

const lcmConfig = schedulerConfig.extend({
  original_inference_steps: z.int().min(1).default(50),
  timestep_scaling: z.number().gt(0).default(10),
  ...clippingConfig,
});
type LcmConfig = z.infer<typeof lcmConfig>;

const { fround } = Math;
/** The standard deviation of the data that the boundary condition assumes. */
const SIGMA_DATA = 0.5;

/**
 * @param config  the parsed `scheduler_config.json`
 * @throws {SchedulerError} when a key has a value that this sampler does not take
 */
export function createLcmScheduler(config: unknown): Scheduler {
  const parsed = parseConfig(lcmConfig, config);
  const { alphasCumprod } = createNoiseSchedule(parsed);
  return {
    readsVariance: false,
    schedule(numInferenceSteps, { strength = 1 } = {}) {
      const timesteps = lcmTimesteps(parsed, numInferenceSteps, strength);
      return {
        timesteps,
        initNoiseSigma: 1,
        step: (args) => lcmStep(args, { config: parsed, alphasCumprod, timesteps }),
        addNoise: (args) => addNoise(args, { alphasCumprod, timesteps }),
      };
    },
  };
}

/**
 * Evenly spaced picks from the 50 timesteps that the distillation trained on.
 *
 * With a strength below 1 they are picked from the lower ones, so that a run from a picture takes as many steps; from
 * fewer than `count` all are taken, where the reference refuses.
 */
function lcmTimesteps(config: LcmConfig, count: number, strength: number): number[] {
  const trainedCount = config.original_inference_steps;
  if (!Number.isInteger(count) || count < 1 || count > trainedCount) {
    throw new SchedulerError(
      `num_inference_steps ${count} is not an integer from 1 to ${trainedCount}`,
    );
  }
  if (strength === 0) return [];
  const stride = Math.floor(config.num_train_timesteps / trainedCount);
  const originCount = Math.max(Math.trunc(trainedCount * strength), 1);
  const length = Math.min(count, originCount);
  return Array.from({ length }, (_, i) => {
    const skipped = Math.floor((i * originCount) / length);
    return (originCount - skipped) * stride - 1;
  });
}

interface LcmRun {
  readonly config: LcmConfig;
  readonly alphasCumprod: Float32Array;
  readonly timesteps: readonly number[];
}

function lcmStep(args: StepArgs, { config, alphasCumprod, timesteps }: LcmRun): StepResult {
  const { stepIndex, sample, random } = args;
  const timestep = timestepOf(args, timesteps);
  const image = predictImage(config.prediction_type, args, rates(alphasCumprod[timestep]!));
  const clipped = clipTo(image, config);
  const { cSkip, cOut } = boundaryScalings(timestep, config.timestep_scaling);
  const denoised = sample.map((x, i) => fround(cOut * clipped[i]!) + fround(cSkip * x));
  const nextTimestep = timesteps[stepIndex + 1];
  if (nextTimestep === undefined) return { prevSample: denoised, denoised };

  const next = rates(alphasCumprod[nextTimestep]!);
  const fresh = random.normal(sample.length);
  const prevSample = denoised.map(
    (value, i) => fround(next.signal * value) + fround(next.noise * fresh[i]!),
  );
  return { prevSample, denoised };
}

/** c_skip and c_out: at timestep 0 the prediction is the sample itself. */
function boundaryScalings(timestep: number, scaling: number): { cSkip: number; cOut: number } {
  const scaled = fround(timestep * scaling);
  const variance = SIGMA_DATA ** 2;
  const total = fround(fround(scaled ** 2) + variance);
  return { cSkip: fround(variance / total), cOut: fround(scaled / fround(Math.sqrt(total))) };
}
