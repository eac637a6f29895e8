/**
 * What every sampler looks like to the pipeline.
 *
 * A `Scheduler` belongs to a model; `schedule()` starts one run and returns what that run remembers (a
 * multistep solver keeps earlier predictions there), so one scheduler may serve many runs.
 */
import type { Random } from '../tensor/random.ts';

export interface Scheduler {
  /** @throws {SchedulerError} when the number of steps is not possible */
  schedule(numInferenceSteps: number): DenoisingSchedule;
}

export interface DenoisingSchedule {
  /** training timesteps in the order of the run, high to low */
  readonly timesteps: readonly number[];
  /** the first latents are N(0, 1) times this */
  readonly initNoiseSigma: number;
  /** Steps are taken in order, each once. */
  step(args: StepArgs): StepResult;
}

export interface StepArgs {
  /** counts from 0 */
  readonly stepIndex: number;
  /** float32 `[1, C, H, W]`: epsilon, velocity or sample, as `prediction_type` says */
  readonly noisePred: Float32Array;
  /** float32 `[1, C, H, W]`, the latents at this timestep; not modified */
  readonly sample: Float32Array;
  /** The stream that the latents came from; samplers draw from it in diffusers' order. */
  readonly random: Random;
}

export interface StepResult {
  /** float32 `[1, C, H, W]`, the latents at the next timestep */
  readonly prevSample: Float32Array;
  /** float32 `[1, C, H, W]`, the image that this step predicts; the last step's is the picture */
  readonly denoised: Float32Array;
}

/** A sampler or a configuration that this implementation cannot follow; names the key and the limit. */
export class SchedulerError extends Error {
  override readonly name = 'SchedulerError';
}
