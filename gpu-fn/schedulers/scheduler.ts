/**
 * What every sampler looks like to the pipeline.
 *
 * A `Scheduler` belongs to a model; `schedule()` starts one run and returns what that run remembers (a
 * multistep solver keeps earlier predictions there), so one scheduler may serve many runs.
 */
import type { Random } from '../tensor/random.ts';

export interface Scheduler {
  /**
   * Channels that guidance changes, from the first; absent means all. The improved-DDPM sampler of the original
   * code guides three of four.
   */
  readonly guidedChannels?: number;
  /** Whether steps read the learned variance; only models that predict one can be asked for it. */
  readonly readsVariance: boolean;
  /** @throws {SchedulerError} when the number of steps is not possible */
  schedule(numInferenceSteps: number, options?: ScheduleOptions): DenoisingSchedule;
}

export interface ScheduleOptions {
  /** 0–1, the part of the run that is done when it starts from a picture; default 1, from noise */
  readonly strength?: number;
}

export interface DenoisingSchedule {
  /** training timesteps in the order of the run, high to low; none with strength 0 */
  readonly timesteps: readonly number[];
  /** the first latents are N(0, 1) times this */
  readonly initNoiseSigma: number;
  /** Steps are taken in order, each once. */
  step(args: StepArgs): StepResult;
  /**
   * An image with the noise that it has before a step: √ᾱ·image + √(1 − ᾱ)·noise.
   *
   * @param stepIndex  counts from 0; the number of timesteps means after the last step, the image itself
   */
  addNoise(args: AddNoiseArgs): Float32Array;
}

export interface AddNoiseArgs {
  /** float32 `[1, C, H, W]`, latents of a picture */
  readonly image: Float32Array;
  /** float32 `[1, C, H, W]`, N(0, 1) */
  readonly noise: Float32Array;
  readonly stepIndex: number;
}

export interface StepArgs {
  /** counts from 0 */
  readonly stepIndex: number;
  /** float32 `[1, C, H, W]`: epsilon, velocity or sample, as `prediction_type` says */
  readonly noisePred: Float32Array;
  /** float32 `[1, C, H, W]`, the learned variance −1…1 between its two bounds; for schedulers that read it */
  readonly variance?: Float32Array;
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
