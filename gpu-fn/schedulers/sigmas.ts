/**
 * Noise levels as the exponential integrators see them: σ with α = 1/√(σ² + 1), s = σ·α and λ = ln α − ln s.
 *
 * Values and intermediates are float32, as in the reference.
 */
import type { Rates } from './prediction.ts';

const { fround } = Math;

/** One point of a run. */
export interface NoiseLevel extends Rates {
  /** half the logarithm of the signal-to-noise ratio; +∞ without noise */
  readonly lambda: number;
}

/** @param sigma  ≥ 0 */
export function noiseLevel(sigma: number): NoiseLevel {
  const signal = fround(1 / fround(Math.sqrt(fround(fround(sigma * sigma) + 1))));
  const noise = fround(sigma * signal);
  return { signal, noise, lambda: fround(fround(Math.log(signal)) - fround(Math.log(noise))) };
}

/** σ of a timestep, √((1 − ᾱ)/ᾱ). */
export function sigmaOf(alphaCumprod: number): number {
  return fround(Math.sqrt(fround(fround(1 - alphaCumprod) / alphaCumprod)));
}
