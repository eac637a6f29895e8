/**
 * DPM-Solver++ (2M): a multistep solver that takes the predicted image as linear in λ between steps.
 *
 * @see Lu et al. 2022, DPM-Solver++, algorithm 2 (arXiv:2211.01095)
 * @see diffusers src/diffusers/schedulers/scheduling_dpmsolver_multistep.py
 */
import * as z from 'zod';
import { createNoiseSchedule } from './noise-schedule.ts';
import { addNoise, predictImage, timestepOf } from './prediction.ts';
import type { Scheduler, StepArgs, StepResult } from './scheduler.ts';
import { parseConfig, schedulerConfig } from './scheduler-config.ts';
import { type NoiseLevel, noiseLevel, sigmaOf } from './sigmas.ts';
import { firstStep, spacedTimesteps, spacingConfig } from './timesteps.ts';

const no = z.literal(false).default(false);

const dpmSolverConfig = schedulerConfig.extend({
  ...spacingConfig('linspace'),
  solver_order: z.union([z.literal(1), z.literal(2)]).default(2),
  solver_type: z.enum(['midpoint', 'heun']).default('midpoint'),
  // SA-Solver's word for the same choice: the image is predicted, not the noise
  algorithm_type: z.enum(['dpmsolver++', 'data_prediction']).default('dpmsolver++'),
  lower_order_final: z.boolean().default(true),
  euler_at_final: z.boolean().default(false),
  final_sigmas_type: z.enum(['zero', 'sigma_min']).default('zero'),
  lambda_min_clipped: z.union([z.null(), z.literal(Number.NEGATIVE_INFINITY)]).optional(),
  use_karras_sigmas: no,
  use_exponential_sigmas: no,
  use_beta_sigmas: no,
  use_lu_lambdas: no,
  use_flow_sigmas: no,
});
type DpmSolverConfig = z.infer<typeof dpmSolverConfig>;

const { fround } = Math;
/** Runs with fewer steps end with a first-order one even when noise is left. */
const FEW_STEPS = 15;

/**
 * @param config  the parsed `scheduler_config.json`
 * @throws {SchedulerError} when a key has a value that this sampler does not take
 */
export function createDpmSolverScheduler(config: unknown): Scheduler {
  const parsed = parseConfig(dpmSolverConfig, config);
  const { alphasCumprod } = createNoiseSchedule(parsed);
  return {
    readsVariance: false,
    schedule(numInferenceSteps, { strength = 1 } = {}) {
      const all = spacedTimesteps(parsed, numInferenceSteps, { endsAtZero: false });
      const first = firstStep(all.length, strength);
      const timesteps = all.slice(first);
      const sigmas = timesteps.map((timestep) => sigmaOf(alphasCumprod[timestep]!));
      sigmas.push(parsed.final_sigmas_type === 'zero' ? 0 : sigmaOf(alphasCumprod[0]!));
      const run: DpmRun = {
        config: parsed,
        timesteps,
        levels: sigmas.map(noiseLevel),
        stepCount: all.length,
      };
      let previousImage: Float32Array | undefined;
      return {
        timesteps,
        initNoiseSigma: 1,
        step(args) {
          const result = dpmStep(args, run, previousImage);
          previousImage = result.denoised;
          return result;
        },
        addNoise: (args) => addNoise(args, { alphasCumprod, timesteps }),
      };
    },
  };
}

interface DpmRun {
  readonly config: DpmSolverConfig;
  readonly timesteps: readonly number[];
  /** of the timesteps, and where the last step ends */
  readonly levels: readonly NoiseLevel[];
  /** of the whole run, of which a run from a picture is the last part */
  readonly stepCount: number;
}

/** @param previous  image that the step before predicted; absent in the first step */
function dpmStep(args: StepArgs, run: DpmRun, previous: Float32Array | undefined): StepResult {
  const { config, levels, timesteps } = run;
  const { stepIndex, sample } = args;
  timestepOf(args, timesteps);
  const now = levels[stepIndex]!;
  const next = levels[stepIndex + 1]!;
  const denoised = predictImage(config.prediction_type, args, now);
  const h = fround(next.lambda - now.lambda);
  const decay = fround(fround(Math.exp(-h)) - 1); // e^−h − 1; −1 where the noise ends
  const keep = fround(next.noise / now.noise);
  const move = fround(next.signal * decay);
  const isFirstOrder =
    config.solver_order === 1 || previous === undefined || endsInFirstOrder(stepIndex, run);
  if (isFirstOrder) {
    const prevSample = sample.map((x, i) => fround(keep * x) - fround(move * denoised[i]!));
    return { prevSample, denoised };
  }
  const ratio = fround(fround(now.lambda - levels[stepIndex - 1]!.lambda) / h);
  const slope = fround(1 / ratio);
  const bend =
    config.solver_type === 'midpoint'
      ? fround(-0.5 * move)
      : fround(next.signal * fround(fround(decay / h) + 1));
  const prevSample = sample.map((x, i) => {
    const image = denoised[i]!;
    const change = fround(slope * fround(image - previous[i]!));
    return fround(fround(keep * x) - fround(move * image)) + fround(bend * change);
  });
  return { prevSample, denoised };
}

function endsInFirstOrder(stepIndex: number, { config, timesteps, stepCount }: DpmRun): boolean {
  if (stepIndex !== timesteps.length - 1) return false;
  return (
    config.euler_at_final ||
    (config.lower_order_final && stepCount < FEW_STEPS) ||
    config.final_sigmas_type === 'zero'
  );
}
