/**
 * A small picture of latents without the VAE: one matrix from latent channels to RGB, fitted beforehand.
 */
import type { Pixels } from './components.ts';
import type { LatentShape } from './latents.ts';

export interface LatentRgb {
  /** `[C][3]`: what one unit of each latent channel adds to R, G and B in [−1, 1] */
  readonly factors: readonly (readonly number[])[];
  /** `[3]` */
  readonly bias: readonly number[];
}

/**
 * @param latents  float32 `[1, C, H, W]`, the predicted image as the scheduler holds it
 * @returns RGB, one pixel per latent cell
 */
export function latentsToRgb(
  latents: Float32Array,
  { channels, height, width }: LatentShape,
  { factors, bias }: LatentRgb,
): Pixels {
  const cells = height * width;
  const data = new Uint8Array(cells * 3);
  for (let cell = 0; cell < cells; cell++) {
    for (let colour = 0; colour < 3; colour++) {
      let value = bias[colour] ?? 0;
      for (let channel = 0; channel < channels; channel++) {
        value += latents[channel * cells + cell]! * (factors[channel]?.[colour] ?? 0);
      }
      data[cell * 3 + colour] = Math.round(Math.min(Math.max(value / 2 + 0.5, 0), 1) * 255);
    }
  }
  return { data, width, height, channels: 3 };
}
