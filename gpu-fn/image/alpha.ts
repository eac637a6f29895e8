/**
 * The fourth channel of a VAE that draws transparency: RGB is the picture laid on white, alpha is beside it.
 */
import type { Pixels } from '../pipeline/components.ts';

const WHITE = 255;

/**
 * The opaque picture: alpha is dropped, white shows where it was transparent.
 *
 * @returns RGB, the same object when there is no alpha
 */
export function toOpaque(image: Pixels): Pixels {
  if (image.channels === 3) return image;
  const data = new Uint8Array(image.width * image.height * 3);
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
    data[to] = image.data[from]!;
    data[to + 1] = image.data[from + 1]!;
    data[to + 2] = image.data[from + 2]!;
  }
  return { ...image, data, channels: 3 };
}

/**
 * The transparent picture: takes the white out of half-transparent edges, c = (f − (1 − a)) / a.
 *
 * @param image  RGB laid on white, and alpha
 * @returns RGBA with straight alpha; colour is black where nothing is left to see
 */
export function unmatteWhite(image: Pixels): Pixels {
  if (image.channels !== 4) throw new RangeError('an image without alpha cannot be un-matted');
  const data = new Uint8Array(image.data.length);
  for (let i = 0; i < data.length; i += 4) {
    const alpha = image.data[i + 3]!;
    data[i + 3] = alpha;
    if (alpha === 0) continue;
    for (let channel = i; channel < i + 3; channel++) {
      const colour = ((image.data[channel]! - (WHITE - alpha)) * WHITE) / alpha;
      data[channel] = Math.min(Math.max(Math.round(colour), 0), WHITE);
    }
  }
  return { ...image, data };
}
