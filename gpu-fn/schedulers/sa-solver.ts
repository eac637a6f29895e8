/**
 * SA-Solver: a stochastic Adams method, order 2, that corrects each step once the next prediction is known.
 *
 * In λ the image is taken as a polynomial through the last predictions and integrated exactly. τ says how much fresh
 * noise a step adds: 1 for timesteps from 200 to 800, else 0, as PixArt's demo has it.
 *
 * @see Xue et al. 2023, SA-Solver, algorithm 1 (arXiv:2309.05019)
 * @see diffusers src/diffusers/schedulers/scheduling_sasolver.py
 */
import * as z from 'zod';
import { createNoiseSchedule } from './noise-schedule.ts';
import { addNoise, predictImage, timestepOf } from './prediction.ts';
import type { Scheduler, StepArgs, StepResult } from './scheduler.ts';
import { parseConfig, schedulerConfig } from './scheduler-config.ts';
import { type NoiseLevel, noiseLevel, sigmaOf } from './sigmas.ts';
import { firstStep, spacedTimesteps, spacingConfig } from './timesteps.ts';

const no = z.literal(false).default(false);

const saSolverConfig = schedulerConfig.extend({
  ...spacingConfig('linspace'),
  predictor_order: z.literal(2).default(2),
  corrector_order: z.literal(2).default(2),
  lower_order_final: z.boolean().default(true),
  lambda_min_clipped: z.union([z.null(), z.literal(Number.NEGATIVE_INFINITY)]).optional(),
  use_karras_sigmas: no,
  use_exponential_sigmas: no,
  use_beta_sigmas: no,
  use_flow_sigmas: no,
});
type SaSolverConfig = z.infer<typeof saSolverConfig>;

export interface SaSolverOptions {
  /** τ of a timestep, ≥ 0 */
  readonly tau?: (timestep: number) => number;
}

/** τ where PixArt adds noise. */
const NOISY_TIMESTEPS = { from: 200, to: 800 } as const;

export function defaultTau(timestep: number): number {
  return timestep >= NOISY_TIMESTEPS.from && timestep <= NOISY_TIMESTEPS.to ? 1 : 0;
}

/**
 * @param config  the parsed `scheduler_config.json`
 * @throws {SchedulerError} when a key has a value that this sampler does not take
 */
export function createSaSolverScheduler(
  config: unknown,
  { tau = defaultTau }: SaSolverOptions = {},
): Scheduler {
  const parsed = parseConfig(saSolverConfig, config);
  const { alphasCumprod } = createNoiseSchedule(parsed);
  return {
    readsVariance: false,
    schedule(numInferenceSteps, { strength = 1 } = {}) {
      const all = spacedTimesteps(parsed, numInferenceSteps, { endsAtZero: false });
      const timesteps = all.slice(firstStep(all.length, strength));
      // The run ends at timestep 0, with a little noise left.
      const levels = [...timesteps, 0].map((t) => noiseLevel(sigmaOf(alphasCumprod[t]!)));
      const run = new SaRun({ config: parsed, timesteps, levels, tau });
      return {
        timesteps,
        initNoiseSigma: 1,
        step: (args) => run.step(args),
        addNoise: (args) => addNoise(args, { alphasCumprod, timesteps }),
      };
    },
  };
}

interface SaRunParts {
  readonly config: SaSolverConfig;
  readonly timesteps: readonly number[];
  /** of the timesteps, and where the last step ends */
  readonly levels: readonly NoiseLevel[];
  readonly tau: (timestep: number) => number;
}

/** What a step leaves for the correction that follows it. */
interface Taken {
  /** latents that the step started from, already corrected */
  readonly sample: Float32Array;
  readonly image: Float32Array;
  readonly noise: Float32Array;
  readonly tau: number;
}

class SaRun {
  readonly #parts: SaRunParts;
  #last: Taken | undefined;

  constructor(parts: SaRunParts) {
    this.#parts = parts;
  }

  step(args: StepArgs): StepResult {
    const { config, timesteps, levels, tau } = this.#parts;
    const { stepIndex, random } = args;
    const timestep = timestepOf(args, timesteps);
    const image = predictImage(config.prediction_type, args, levels[stepIndex]!);
    const last = this.#last;
    const sample = last === undefined ? args.sample : this.#correct(stepIndex, image, last);
    // Drawn even where τ is 0, as the reference does.
    const noise = random.normal(sample.length);
    const taken: Taken = { sample, image, noise, tau: tau(timestep) };
    const prevSample = this.#predict(stepIndex, taken, last?.image);
    this.#last = taken;
    return { prevSample, denoised: image };
  }

  /** From this timestep to the next; of order 1 in the first step and, with `lower_order_final`, in the last. */
  #predict(stepIndex: number, taken: Taken, lastImage: Float32Array | undefined): Float32Array {
    const { config, timesteps, levels } = this.#parts;
    const start = levels[stepIndex]!;
    const end = levels[stepIndex + 1]!;
    const isLast = stepIndex === timesteps.length - 1;
    if (lastImage === undefined || (config.lower_order_final && isLast)) {
      return integrate({
        start,
        end,
        taken,
        images: [taken.image],
        nodes: [start.lambda],
        extra: 0,
      });
    }
    const earlier = levels[stepIndex - 1]!;
    const h = end.lambda - start.lambda;
    const extra = (h * h) / 2 - remainder(taken.tau, h);
    return integrate({
      start,
      end,
      taken,
      images: [taken.image, lastImage],
      nodes: [start.lambda, earlier.lambda],
      extra: extra / (start.lambda - earlier.lambda),
    });
  }

  /** The step before once more, with what is now known of its end. */
  #correct(stepIndex: number, image: Float32Array, last: Taken): Float32Array {
    const { levels } = this.#parts;
    const start = levels[stepIndex - 1]!;
    const end = levels[stepIndex]!;
    const h = end.lambda - start.lambda;
    return integrate({
      start,
      end,
      taken: last,
      images: [image, last.image],
      nodes: [end.lambda, start.lambda],
      extra: h / 2 - remainder(last.tau, h) / h,
    });
  }
}

/** (h·q − 1 + e^(−q·h)) / q² with q = 1 + τ². */
function remainder(tau: number, h: number): number {
  const q = 1 + tau * tau;
  return (h * q - 1 + Math.exp(-q * h)) / (q * q);
}

interface IntegrateArgs {
  readonly start: NoiseLevel;
  readonly end: NoiseLevel;
  readonly taken: Taken;
  /** one or two predictions, newest first, and the λ that they belong to */
  readonly images: readonly Float32Array[];
  readonly nodes: readonly number[];
  /** moved from the second weight to the first, times e^(q·λ_end): better pictures in few steps */
  readonly extra: number;
}

/** The latents at `end`: what is left of the old ones, the integral of the image, and noise. */
function integrate({ start, end, taken, images, nodes, extra }: IntegrateArgs): Float32Array {
  const { sample, noise, tau } = taken;
  const q = 1 + tau * tau;
  const h = end.lambda - start.lambda;
  const keep = Math.exp(-tau * tau * h) * (end.noise / start.noise);
  const fresh = end.noise * Math.sqrt(-Math.expm1(-2 * tau * tau * h));
  // q·s_end·e^(−τ²·λ_end)·e^(q·λ_end) = q·s_end·e^λ_end = q·α_end: no exponential is left to overflow
  const weights = moments({ q, h, end: end.lambda, nodes, extra }).map((w) => q * end.signal * w);
  const [newest, older] = images;
  const [newestWeight = 0, olderWeight = 0] = weights;
  return sample.map((x, i) => {
    const image = newestWeight * newest![i]! + (older ? olderWeight * older[i]! : 0);
    return keep * x + image + fresh * noise[i]!;
  });
}

/**
 * ∫ e^(q·(λ − λ_end)) · p(λ) dλ over the step, for the polynomial through the nodes: one weight for each.
 *
 * With u = λ_end − λ: E0 = (1 − e^(−q·h))/q and the first moment about λ_end, E1 = −(1 − (1 + q·h)·e^(−q·h))/q².
 */
function moments(args: {
  readonly q: number;
  readonly h: number;
  readonly end: number;
  readonly nodes: readonly number[];
  readonly extra: number;
}): number[] {
  const { q, h, end, nodes, extra } = args;
  const decay = Math.exp(-q * h);
  const zeroth = -Math.expm1(-q * h) / q;
  const [newest = 0, older] = nodes;
  if (older === undefined) return [zeroth];
  const first = -(1 - (1 + q * h) * decay) / (q * q);
  const span = newest - older;
  return [
    (first - (older - end) * zeroth) / span + extra,
    ((newest - end) * zeroth - first) / span - extra,
  ];
}
