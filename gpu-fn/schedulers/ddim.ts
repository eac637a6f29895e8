/**
 * DDIM: each step goes to the predicted image and back to the next noise level along the predicted noise.
 *
 * Deterministic (η = 0), which is what pipelines use.
 *
 * @see Song et al. 2020, Denoising Diffusion Implicit Models, equation 12 (arXiv:2010.02502)
 * @see diffusers src/diffusers/schedulers/scheduling_ddim.py
 */
import * as z from 'zod';
import { createNoiseSchedule } from './noise-schedule.ts';
import { addNoise, clipTo, predictImage, predictNoise, rates, timestepOf } from './prediction.ts';
import type { Scheduler, StepArgs, StepResult } from './scheduler.ts';
import { clippingConfig, parseConfig, schedulerConfig } from './scheduler-config.ts';
import { firstStep, spacedTimesteps, spacingConfig } from './timesteps.ts';

const ddimConfig = schedulerConfig.extend({
  ...spacingConfig('leading'),
  ...clippingConfig,
  set_alpha_to_one: z.boolean().default(true),
});
type DdimConfig = z.infer<typeof ddimConfig>;

export interface DdimOptions {
  /** 0 adds no noise, 1 as much as DDPM; default 0 */
  readonly eta?: number;
}

const { fround } = Math;

/**
 * @param config  the parsed `scheduler_config.json`
 * @throws {SchedulerError} when a key has a value that this sampler does not take
 */
export function createDdimScheduler(config: unknown, { eta = 0 }: DdimOptions = {}): Scheduler {
  const parsed = parseConfig(ddimConfig, config);
  const { alphasCumprod } = createNoiseSchedule(parsed);
  return {
    readsVariance: false,
    schedule(numInferenceSteps, { strength = 1 } = {}) {
      const all = spacedTimesteps(parsed, numInferenceSteps, { endsAtZero: true });
      const timesteps = all.slice(firstStep(all.length, strength));
      const stride = Math.floor(parsed.num_train_timesteps / numInferenceSteps);
      const run: DdimRun = { config: parsed, alphasCumprod, timesteps, stride, eta };
      return {
        timesteps,
        initNoiseSigma: 1,
        step: (args) => ddimStep(args, run),
        addNoise: (args) => addNoise(args, run),
      };
    },
  };
}

interface DdimRun {
  readonly config: DdimConfig;
  readonly alphasCumprod: Float32Array;
  readonly timesteps: readonly number[];
  /** from one timestep to the next */
  readonly stride: number;
  readonly eta: number;
}

function ddimStep(args: StepArgs, { config, alphasCumprod, ...run }: DdimRun): StepResult {
  const { sample, random } = args;
  const timestep = timestepOf(args, run.timesteps);
  const alphaProd = alphasCumprod[timestep]!;
  const last = config.set_alpha_to_one ? 1 : alphasCumprod[0]!;
  const alphaProdPrev = alphasCumprod[timestep - run.stride] ?? last;
  const now = rates(alphaProd);
  const denoised = clipTo(predictImage(config.prediction_type, args, now), config);
  const noisePred = predictNoise(config.prediction_type, args, now);

  const betaProdPrev = fround(1 - alphaProdPrev);
  const variance = fround(
    fround(betaProdPrev / fround(1 - alphaProd)) * fround(1 - fround(alphaProd / alphaProdPrev)),
  );
  const deviation = fround(run.eta * fround(Math.sqrt(variance)));
  const towards = fround(Math.sqrt(fround(betaProdPrev - fround(deviation * deviation))));
  const signal = fround(Math.sqrt(alphaProdPrev));
  const prevSample = denoised.map(
    (image, i) => fround(signal * image) + fround(towards * noisePred[i]!),
  );
  if (run.eta === 0) return { prevSample, denoised };
  const fresh = random.normal(sample.length);
  return { prevSample: prevSample.map((x, i) => x + fround(deviation * fresh[i]!)), denoised };
}
