/**
 * What a network's output says about image and noise, and how the two are mixed: the arithmetic that samplers share.
 *
 * Every intermediate is rounded to float32, in the order of the reference.
 */
import { type AddNoiseArgs, SchedulerError, type StepArgs } from './scheduler.ts';
import type { PredictionType } from './scheduler-config.ts';

const { fround } = Math;

/** How much image and how much noise latents hold. */
export interface Rates {
  /** √ᾱ */
  readonly signal: number;
  /** √(1 − ᾱ) */
  readonly noise: number;
}

export function rates(alphaCumprod: number): Rates {
  return {
    signal: fround(Math.sqrt(alphaCumprod)),
    noise: fround(Math.sqrt(fround(1 - alphaCumprod))),
  };
}

type Prediction = Pick<StepArgs, 'noisePred' | 'sample'>;

/** @returns float32 `[1, C, H, W]`, the image (x₀) that the output stands for */
export function predictImage(
  type: PredictionType,
  { noisePred: output, sample }: Prediction,
  { signal, noise }: Rates,
): Float32Array {
  switch (type) {
    case 'epsilon':
      return sample.map((x, i) => fround(x - fround(noise * output[i]!)) / signal);
    case 'v_prediction':
      return sample.map((x, i) => fround(signal * x) - fround(noise * output[i]!));
    case 'sample':
      return output.slice();
    default:
      return type satisfies never;
  }
}

/** @returns float32 `[1, C, H, W]`, the noise (ε) that the output stands for */
export function predictNoise(
  type: PredictionType,
  { noisePred: output, sample }: Prediction,
  { signal, noise }: Rates,
): Float32Array {
  switch (type) {
    case 'epsilon':
      return output;
    case 'v_prediction':
      return sample.map((x, i) => fround(signal * output[i]!) + fround(noise * x));
    case 'sample':
      return sample.map((x, i) => fround(x - fround(signal * output[i]!)) / noise);
    default:
      return type satisfies never;
  }
}

export function clipTo(
  image: Float32Array,
  config: { readonly clip_sample: boolean; readonly clip_sample_range: number },
): Float32Array {
  if (!config.clip_sample) return image;
  const limit = config.clip_sample_range;
  return image.map((value) => Math.min(Math.max(value, -limit), limit));
}

interface Run {
  readonly alphasCumprod: Float32Array;
  readonly timesteps: readonly number[];
}

/** @see DenoisingSchedule.addNoise */
export function addNoise(
  { image, noise, stepIndex }: AddNoiseArgs,
  { alphasCumprod, timesteps }: Run,
): Float32Array {
  if (stepIndex === timesteps.length) return image;
  const timestep = timesteps[stepIndex];
  if (timestep === undefined) throw noSuchStep(stepIndex, timesteps);
  const mixed = rates(alphasCumprod[timestep]!);
  return image.map((value, i) => fround(mixed.signal * value) + fround(mixed.noise * noise[i]!));
}

/**
 * The timestep of a step.
 *
 * @throws {SchedulerError} when there is no such step, or the output has another length than the latents
 */
export function timestepOf(
  { stepIndex, noisePred, sample }: Prediction & Pick<StepArgs, 'stepIndex'>,
  timesteps: readonly number[],
): number {
  if (noisePred.length !== sample.length) {
    throw new SchedulerError(`noisePred has ${noisePred.length} values, sample ${sample.length}`);
  }
  const timestep = timesteps[stepIndex];
  if (timestep === undefined) throw noSuchStep(stepIndex, timesteps);
  return timestep;
}

function noSuchStep(stepIndex: number, timesteps: readonly number[]): SchedulerError {
  return new SchedulerError(`step ${stepIndex} is not one of ${timesteps.length}`);
}
