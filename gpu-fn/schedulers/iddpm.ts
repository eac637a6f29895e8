/**
 * The sampler of improved DDPM, as PixArt's original code has it: a respaced process whose variance the network
 * predicts.
 *
 * All coefficients are float64, as there. Guidance changes the first three channels only, a quirk that DiT handed down.
 *
 * @see Nichol & Dhariwal 2021, Improved Denoising Diffusion Probabilistic Models, §3.1 (arXiv:2102.09672)
 */
import { addNoise, predictImage, timestepOf } from './prediction.ts';
import { type Scheduler, SchedulerError, type StepArgs, type StepResult } from './scheduler.ts';
import { parseConfig, type SchedulerConfig, schedulerConfig } from './scheduler-config.ts';
import { firstStep, roundHalfToEven } from './timesteps.ts';

/** Fewer leave no variance to interpolate with. */
const STEPS_MIN = 2;
const GUIDED_CHANNELS = 3;

/**
 * @param config  the parsed `scheduler_config.json`
 * @throws {SchedulerError} when a key has a value that this sampler does not take
 */
export function createIddpmScheduler(config: unknown): Scheduler {
  const parsed = parseConfig(schedulerConfig, config);
  const trained = cumulativeAlphas(parsed);
  return {
    guidedChannels: GUIDED_CHANNELS,
    readsVariance: true,
    schedule(numInferenceSteps, { strength = 1 } = {}) {
      const process = respace(trained, numInferenceSteps);
      const first = firstStep(process.length, strength);
      const levels = process.toReversed().slice(first);
      const timesteps = levels.map(({ timestep }) => timestep);
      const alphasCumprod = Float32Array.from(trained);
      return {
        timesteps,
        initNoiseSigma: 1,
        step: (args) => iddpmStep(args, { config: parsed, levels, timesteps }),
        addNoise: (args) => addNoise(args, { alphasCumprod, timesteps }),
      };
    },
  };
}

/** One step of the respaced process. */
interface Level {
  readonly timestep: number;
  /** ᾱ here and of the step below */
  readonly alphaProd: number;
  readonly alphaProdPrev: number;
  readonly beta: number;
  /** ln β̃, the lower bound of the variance; that of the lowest step is taken from the one above */
  readonly logVarianceMin: number;
}

/** ᾱ of every training timestep. */
function cumulativeAlphas(config: SchedulerConfig): number[] {
  const { num_train_timesteps: count, beta_start: start, beta_end: end } = config;
  const spaced = (a: number, b: number) =>
    Array.from({ length: count }, (_, i) => a + (i * (b - a)) / Math.max(count - 1, 1));
  const betas =
    config.trained_betas ??
    (config.beta_schedule === 'linear'
      ? spaced(start, end)
      : spaced(Math.sqrt(start), Math.sqrt(end)).map((root) => root * root));
  let product = 1;
  return betas.map((beta) => {
    product *= 1 - beta;
    return product;
  });
}

/** @returns the steps that stay, low to high */
function respace(trained: readonly number[], count: number): Level[] {
  if (!Number.isInteger(count) || count < STEPS_MIN || count > trained.length) {
    throw new SchedulerError(
      `num_inference_steps ${count} is not an integer from ${STEPS_MIN} to ${trained.length}`,
    );
  }
  const stride = (trained.length - 1) / (count - 1);
  const kept: number[] = [];
  for (let i = 0, position = 0; i < count; i += 1, position += stride) {
    kept.push(roundHalfToEven(position));
  }
  const variances = kept.map((timestep, i) => {
    const alphaProd = trained[timestep]!;
    const alphaProdPrev = i === 0 ? 1 : trained[kept[i - 1]!]!;
    const beta = 1 - alphaProd / alphaProdPrev;
    const variance = (beta * (1 - alphaProdPrev)) / (1 - alphaProd);
    return { timestep, alphaProd, alphaProdPrev, beta, variance };
  });
  return variances.map(({ variance, ...level }, i) => ({
    ...level,
    logVarianceMin: Math.log(i === 0 ? variances[1]!.variance : variance),
  }));
}

interface IddpmRun {
  readonly config: SchedulerConfig;
  readonly levels: readonly Level[];
  readonly timesteps: readonly number[];
}

function iddpmStep(args: StepArgs, { config, levels, timesteps }: IddpmRun): StepResult {
  const { stepIndex, sample, random, variance } = args;
  timestepOf(args, timesteps);
  if (variance?.length !== sample.length) {
    throw new SchedulerError('the improved-DDPM sampler needs the learned variance');
  }
  const { alphaProd, alphaProdPrev, beta, logVarianceMin } = levels[stepIndex]!;
  const denoised = predictImage(config.prediction_type, args, {
    signal: Math.sqrt(alphaProd),
    noise: Math.sqrt(1 - alphaProd),
  });
  const imageRate = (beta * Math.sqrt(alphaProdPrev)) / (1 - alphaProd);
  const sampleRate = ((1 - alphaProdPrev) * Math.sqrt(1 - beta)) / (1 - alphaProd);
  const mean = sample.map((x, i) => imageRate * denoised[i]! + sampleRate * x);
  if (stepIndex === timesteps.length - 1) return { prevSample: mean, denoised };

  const logVarianceMax = Math.log(beta);
  const fresh = random.normal(sample.length);
  const prevSample = mean.map((x, i) => {
    const share = (variance[i]! + 1) / 2;
    const logVariance = share * logVarianceMax + (1 - share) * logVarianceMin;
    return x + Math.exp(0.5 * logVariance) * fresh[i]!;
  });
  return { prevSample, denoised };
}
