/** What the VAE decodes: their shape, their first values, and the check that they are numbers. */
import type { Random } from '../tensor/random.ts';

export interface LatentShape {
  readonly channels: number;
  /** rows and columns of latent cells */
  readonly height: number;
  readonly width: number;
}

/** @returns float32 `[1, C, H, W]`, N(0, initNoiseSigma²), the first values of the stream */
export function initialLatents(
  { channels, height, width }: LatentShape,
  { random, initNoiseSigma }: { random: Random; initNoiseSigma: number },
): Float32Array {
  const latents = random.normal(channels * height * width);
  return initNoiseSigma === 1 ? latents : latents.map((value) => value * initNoiseSigma);
}

/** The network gave NaN or infinity: the weights or the arithmetic are broken, and so would be the picture. */
export class NonFiniteError extends Error {
  override readonly name = 'NonFiniteError';
}

/** @throws {NonFiniteError} naming the stage and the first wrong value */
export function assertFinite(values: Float32Array, stage: string): void {
  const index = values.findIndex((value) => !Number.isFinite(value));
  if (index !== -1) {
    throw new NonFiniteError(`${stage}: value ${index} of ${values.length} is ${values[index]}`);
  }
}
