/**
 * DDPM: each step is a draw from the posterior between the latents and the predicted image.
 *
 * @see Ho et al. 2020, Denoising Diffusion Probabilistic Models, equations 6 and 7 (arXiv:2006.11239)
 * @see diffusers src/diffusers/schedulers/scheduling_ddpm.py
 */
import * as z from 'zod';
import { createNoiseSchedule } from './noise-schedule.ts';
import { addNoise, clipTo, predictImage, rates, timestepOf } from './prediction.ts';
import { type Scheduler, SchedulerError, type StepArgs, type StepResult } from './scheduler.ts';
import { clippingConfig, parseConfig, schedulerConfig } from './scheduler-config.ts';
import { firstStep, spacedTimesteps, spacingConfig } from './timesteps.ts';

const ddpmConfig = schedulerConfig.extend({
  ...spacingConfig('leading'),
  ...clippingConfig,
  /** `learned_range` needs a model that predicts its variance; null is DPM-Solver's word for none */
  variance_type: z.enum(['fixed_small', 'fixed_large', 'learned_range']).nullish(),
});
type DdpmConfig = z.infer<typeof ddpmConfig>;

const { fround } = Math;
/** Keeps logarithm and root away from zero. */
const VARIANCE_MIN = fround(1e-20);

/**
 * @param config  the parsed `scheduler_config.json`
 * @throws {SchedulerError} when a key has a value that this sampler does not take
 */
export function createDdpmScheduler(config: unknown): Scheduler {
  const parsed = parseConfig(ddpmConfig, config);
  const { alphasCumprod } = createNoiseSchedule(parsed);
  return {
    readsVariance: parsed.variance_type === 'learned_range',
    schedule(numInferenceSteps, { strength = 1 } = {}) {
      const all = spacedTimesteps(parsed, numInferenceSteps, { endsAtZero: true });
      const timesteps = all.slice(firstStep(all.length, strength));
      const run: DdpmRun = { config: parsed, alphasCumprod, timesteps };
      return {
        timesteps,
        initNoiseSigma: 1,
        step: (args) => ddpmStep(args, run),
        addNoise: (args) => addNoise(args, run),
      };
    },
  };
}

interface DdpmRun {
  readonly config: DdpmConfig;
  readonly alphasCumprod: Float32Array;
  readonly timesteps: readonly number[];
}

function ddpmStep(args: StepArgs, { config, alphasCumprod, timesteps }: DdpmRun): StepResult {
  const { stepIndex, sample, random } = args;
  const timestep = timestepOf(args, timesteps);
  const alphaProd = alphasCumprod[timestep]!;
  const alphaProdPrev = alphasCumprod[timesteps[stepIndex + 1] ?? -1] ?? 1;
  const betaProd = fround(1 - alphaProd);
  const betaProdPrev = fround(1 - alphaProdPrev);
  const alpha = fround(alphaProd / alphaProdPrev);
  const beta = fround(1 - alpha);

  const image = predictImage(config.prediction_type, args, rates(alphaProd));
  const denoised = clipTo(image, config);
  const imageRate = fround(fround(fround(Math.sqrt(alphaProdPrev)) * beta) / betaProd);
  const sampleRate = fround(fround(fround(Math.sqrt(alpha)) * betaProdPrev) / betaProd);
  const mean = sample.map((x, i) => fround(imageRate * denoised[i]!) + fround(sampleRate * x));
  if (timestep === 0) return { prevSample: mean, denoised };

  const small = Math.max(fround(fround(betaProdPrev / betaProd) * beta), VARIANCE_MIN);
  const deviation = deviations(config, { small, large: beta, learned: args.variance });
  const fresh = random.normal(sample.length);
  return { prevSample: mean.map((x, i) => x + fround(deviation(i) * fresh[i]!)), denoised };
}

interface VarianceBounds {
  readonly small: number;
  readonly large: number;
  readonly learned: Float32Array | undefined;
}

/** @returns the standard deviation of one value by its index */
function deviations(
  { variance_type: type }: DdpmConfig,
  { small, large, learned }: VarianceBounds,
): (i: number) => number {
  if (type !== 'learned_range') {
    const deviation = fround(Math.sqrt(type === 'fixed_large' ? large : small));
    return () => deviation;
  }
  if (learned === undefined) throw new SchedulerError('learned_range needs the learned variance');
  const low = fround(Math.log(small));
  const high = fround(Math.log(large));
  return (i) => {
    const share = fround(fround(learned[i]! + 1) / 2);
    const log = fround(fround(share * high) + fround(fround(1 - share) * low));
    return fround(Math.exp(fround(0.5 * log)));
  };
}
