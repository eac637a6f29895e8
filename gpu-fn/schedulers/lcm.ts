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
import { type Scheduler, SchedulerError, type StepArgs, type StepResult } from './scheduler.ts';
import { type PredictionType, parseConfig, schedulerConfig } from './scheduler-config.ts';

const lcmConfig = schedulerConfig.extend({
  original_inference_steps: z.int().min(1).default(50),
  timestep_scaling: z.number().gt(0).default(10),
  clip_sample: z.boolean().default(false),
  clip_sample_range: z.number().gt(0).default(1),
  thresholding: z.literal(false).default(false), // for pixel-space models only
});
type LcmConfig = z.infer<typeof lcmConfig>;

const { fround } = Math;
/** The standard deviation of the data that the boundary condition assumes. */
const SIGMA_DATA = 0.5;

/**
 * @param config  the parsed `scheduler_config.json`
 * @throws {SchedulerError} when a key has a value that is not implemented
 */
export function createLcmScheduler(config: unknown): Scheduler {
  const parsed = parseConfig(lcmConfig, config);
  const { alphasCumprod } = createNoiseSchedule(parsed);
  return {
    schedule(numInferenceSteps) {
      const timesteps = lcmTimesteps(parsed, numInferenceSteps);
      return {
        timesteps,
        initNoiseSigma: 1,
        step: (args) => lcmStep(args, { config: parsed, alphasCumprod, timesteps }),
      };
    },
  };
}

/** Evenly spaced picks from the 50 timesteps that the distillation trained on. */
function lcmTimesteps(config: LcmConfig, count: number): number[] {
  const originCount = config.original_inference_steps;
  if (!Number.isInteger(count) || count < 1 || count > originCount) {
    throw new SchedulerError(
      `num_inference_steps ${count} is not an integer from 1 to ${originCount}`,
    );
  }
  const stride = Math.floor(config.num_train_timesteps / originCount);
  return Array.from({ length: count }, (_, i) => {
    const skipped = Math.floor((i * originCount) / count);
    return (originCount - skipped) * stride - 1;
  });
}

interface LcmRun {
  readonly config: LcmConfig;
  readonly alphasCumprod: Float32Array;
  readonly timesteps: readonly number[];
}

function lcmStep(args: StepArgs, { config, alphasCumprod, timesteps }: LcmRun): StepResult {
  const { stepIndex, noisePred, sample, random } = args;
  if (noisePred.length !== sample.length) {
    throw new SchedulerError(`noisePred has ${noisePred.length} values, sample ${sample.length}`);
  }
  const timestep = timesteps[stepIndex];
  if (timestep === undefined) {
    throw new SchedulerError(`step ${stepIndex} is not one of ${timesteps.length}`);
  }
  const { signal, noise } = rates(alphasCumprod[timestep]!);
  const { cSkip, cOut } = boundaryScalings(timestep, config.timestep_scaling);
  const predict = predictors[config.prediction_type];
  const limit = config.clip_sample ? config.clip_sample_range : Number.POSITIVE_INFINITY;
  const denoised = sample.map((x, i) => {
    const image = predict({ x, output: noisePred[i]!, signal, noise });
    const clipped = Math.min(Math.max(image, -limit), limit);
    return fround(cOut * clipped) + fround(cSkip * x);
  });
  const nextTimestep = timesteps[stepIndex + 1];
  if (nextTimestep === undefined) return { prevSample: denoised, denoised };

  const next = rates(alphasCumprod[nextTimestep]!);
  const fresh = random.normal(sample.length);
  const prevSample = denoised.map(
    (image, i) => fround(next.signal * image) + fround(next.noise * fresh[i]!),
  );
  return { prevSample, denoised };
}

/** √ᾱ and √(1 − ᾱ): how much image and how much noise the latents hold. */
function rates(alphaCumprod: number): { signal: number; noise: number } {
  return {
    signal: fround(Math.sqrt(alphaCumprod)),
    noise: fround(Math.sqrt(fround(1 - alphaCumprod))),
  };
}

/** c_skip and c_out: at timestep 0 the prediction is the sample itself. */
function boundaryScalings(timestep: number, scaling: number): { cSkip: number; cOut: number } {
  const scaled = fround(timestep * scaling);
  const variance = SIGMA_DATA ** 2;
  const total = fround(fround(scaled ** 2) + variance);
  return { cSkip: fround(variance / total), cOut: fround(scaled / fround(Math.sqrt(total))) };
}

interface PredictorArgs {
  readonly x: number;
  readonly output: number;
  readonly signal: number;
  readonly noise: number;
}

const predictors: Record<PredictionType, (args: PredictorArgs) => number> = {
  epsilon: ({ x, output, signal, noise }) => fround(fround(x - fround(noise * output)) / signal),
  v_prediction: ({ x, output, signal, noise }) =>
    fround(fround(signal * x) - fround(noise * output)),
  sample: ({ output }) => output,
};
