/**
 * Starting from a picture: where it lies in what is drawn, its latents, and how what is kept stays as it was.
 *
 * The picture is cut to the ratio that was asked for. The model may draw another ratio: then it sees as much more of
 * the picture as is later cropped away, so that everything stays in its place.
 *
 * @see PixArt-alpha scripts/pipeline_pixart_inpaint.py
 */
import type { Size } from '#shared/sizes.ts';
import type { Random } from '../tensor/random.ts';
import { type Raster, resampleWindow, type Window } from '../tensor/resample.ts';
import type { Edit, Mask, Pixels, VaeDecoder, VaeEncoder } from './components.ts';
import type { LatentShape } from './latents.ts';

/** Width in pixels of the seam inside the mask, where old and new picture are mixed. */
const SEAM = 4;
const WHITE = 255;

export interface PreparedEdit {
  /** the picture at the size that was asked for, with the channels of the VAE */
  readonly reference: Pixels;
  /** the same at the size that the model draws, and a part of what lies around it */
  readonly drawn: Pixels;
  /** at both sizes */
  readonly referenceMask?: Mask;
  readonly drawnMask?: Mask;
}

export interface EditSizes {
  readonly requested: Size;
  readonly drawn: Size;
  readonly channels: 3 | 4;
}

export function prepareEdit({ image, mask }: Edit, sizes: EditSizes): PreparedEdit {
  const { requested, drawn, channels } = sizes;
  const source = layOnWhite(image, channels);
  const { inner, outer } = windows(source, requested, drawn);
  const cut = (window: Window, [width, height]: Size): Pixels => {
    return { data: resampleWindow(source, window, { width, height }), width, height, channels };
  };
  const cutMask = (window: Window, [width, height]: Size): Mask => {
    const raster: Raster = { ...mask!, channels: 1 };
    const data = resampleWindow(raster, window, { width, height });
    return { data: data.map((value) => (value >= 128 ? WHITE : 0)), width, height };
  };
  return {
    reference: cut(inner, requested),
    drawn: cut(outer, drawn),
    ...(mask && {
      referenceMask: cutMask(inner, requested),
      drawnMask: cutMask(outer, drawn),
    }),
  };
}

/** What of the picture is asked for (`inner`), and what the model has to see so that `fitTo` gives that (`outer`). */
function windows(source: Raster, [width, height]: Size, [drawnWidth, drawnHeight]: Size) {
  const scale = Math.max(width / source.width, height / source.height);
  const ratio = Math.max(width / drawnWidth, height / drawnHeight);
  const centred = (w: number, h: number): Window => {
    return { x: (source.width - w) / 2, y: (source.height - h) / 2, width: w, height: h };
  };
  return {
    inner: centred(width / scale, height / scale),
    outer: centred((drawnWidth * ratio) / scale, (drawnHeight * ratio) / scale),
  };
}

/** RGB laid on white, and alpha beside it for VAEs that know it. */
export function layOnWhite(image: Pixels, channels: 3 | 4): Pixels {
  if (image.channels === 3 && channels === 3) return image;
  const { width, height } = image;
  const data = new Uint8Array(width * height * channels);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    const from = pixel * image.channels;
    const to = pixel * channels;
    const alpha = image.channels === 4 ? image.data[from + 3]! : WHITE;
    for (let colour = 0; colour < 3; colour += 1) {
      const value = image.data[from + colour]! * alpha + WHITE * (WHITE - alpha);
      data[to + colour] = Math.round(value / WHITE);
    }
    if (channels === 4) data[to + 3] = alpha;
  }
  return { data, width, height, channels };
}

/**
 * Latents of the picture: a draw from the encoder's distribution, the first values of the stream, as the reference does.
 *
 * @returns float32 `[1, C, H, W]`, times the scaling factor
 */
export async function encodePicture(
  picture: Pixels,
  {
    vaeEncoder,
    vaeDecoder,
    random,
  }: {
    readonly vaeEncoder: VaeEncoder;
    readonly vaeDecoder: Pick<VaeDecoder, 'scalingFactor'>;
    readonly random: Random;
  },
): Promise<Float32Array> {
  const { width, height } = picture;
  const { mean, logvar } = await vaeEncoder.encode({ sample: toSample(picture), width, height });
  const noise = random.normal(mean.length);
  const { fround } = Math;
  return mean.map((value, i) => {
    const deviation = fround(Math.exp(fround(0.5 * logvar[i]!)));
    return fround(value + fround(deviation * noise[i]!)) * vaeDecoder.scalingFactor;
  });
}

/** float32 `[1, channels, height, width]`, −1…1 */
function toSample({ data, width, height, channels }: Pixels): Float32Array {
  const pixels = width * height;
  const sample = new Float32Array(pixels * channels);
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    for (let channel = 0; channel < channels; channel += 1) {
      sample[channel * pixels + pixel] = (data[pixel * channels + channel]! / WHITE) * 2 - 1;
    }
  }
  return sample;
}

/** Which latent cells are redrawn: the mask at the nearest pixel, `[H, W]`. */
export function latentMask(mask: Mask, { height, width }: LatentShape): Uint8Array {
  const cells = new Uint8Array(height * width);
  for (let row = 0; row < height; row += 1) {
    const y = Math.floor((row * mask.height) / height);
    for (let column = 0; column < width; column += 1) {
      const x = Math.floor((column * mask.width) / width);
      cells[row * width + column] = mask.data[y * mask.width + x]! >= 128 ? 1 : 0;
    }
  }
  return cells;
}

/** New latents where the mask is set, the picture's at the same noise level elsewhere. */
export function mixLatents(
  latents: Float32Array,
  kept: Float32Array,
  cells: Uint8Array,
): Float32Array {
  return latents.map((value, i) => (cells[i % cells.length] === 1 ? value : kept[i]!));
}

/** The drawn picture inside the mask, the untouched one outside; they mix along the inner edge of the mask. */
export function compose(drawn: Pixels, reference: Pixels, mask: Mask): Pixels {
  const shares = seamShares(mask);
  const { channels } = drawn;
  const data = drawn.data.map((value, i) => {
    const share = shares[Math.floor(i / channels)]!;
    const kept = reference.data[i]!;
    return Math.round(kept + (value - kept) * share);
  });
  return { ...drawn, data };
}

/** 0 outside of the mask, rising to 1 over the seam inside of it: twice the blurred mask less one. */
function seamShares({ data, width, height }: Mask): Float32Array {
  const inside = Float32Array.from(data, (value) => (value >= 128 ? 1 : 0));
  const rows = boxBlur(inside, { count: height, length: width, step: 1, stride: width });
  const blurred = boxBlur(rows, { count: width, length: height, step: width, stride: 1 });
  return blurred.map((value, i) => (inside[i] === 0 ? 0 : Math.min(Math.max(2 * value - 1, 0), 1)));
}

/** Means over 2·SEAM + 1 values along one axis; the edge goes on outside. */
function boxBlur(
  values: Float32Array,
  { count, length, step, stride }: Record<'count' | 'length' | 'step' | 'stride', number>,
): Float32Array {
  const out = new Float32Array(values.length);
  for (let line = 0; line < count; line += 1) {
    const at = (i: number) => values[line * stride + Math.min(Math.max(i, 0), length - 1) * step]!;
    let sum = 0;
    for (let i = -SEAM; i <= SEAM; i += 1) sum += at(i);
    for (let i = 0; i < length; i += 1) {
      out[line * stride + i * step] = sum / (2 * SEAM + 1);
      sum += at(i + SEAM + 1) - at(i - SEAM);
    }
  }
  return out;
}
