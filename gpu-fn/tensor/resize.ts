/**
 * Resizing by our own arithmetic, so that the bytes do not depend on an image library's version.
 */

export interface Grid {
  /** uint8 `[height, width, channels]` */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
}

/**
 * Bilinear interpolation with half-pixel centres, clamped at the edges and without antialiasing, as
 * `torch.nn.functional.interpolate(mode='bilinear', align_corners=False)`.
 *
 * @returns uint8 `[height, width, channels]`, rounded to nearest
 */
export function resizeBilinear<G extends Grid>(image: G, width: number, height: number): G {
  const columns = taps(image.width, width);
  const rows = taps(image.height, height);
  const { data: source, channels } = image;
  const data = new Uint8Array(width * height * channels);
  let to = 0;
  for (const row of rows) {
    const upper = row.low * image.width;
    const lower = row.high * image.width;
    for (const column of columns) {
      for (let channel = 0; channel < channels; channel++) {
        const left = column.low * channels + channel;
        const right = column.high * channels + channel;
        const top = mix(
          source[upper * channels + left]!,
          source[upper * channels + right]!,
          column.weight,
        );
        const bottom = mix(
          source[lower * channels + left]!,
          source[lower * channels + right]!,
          column.weight,
        );
        data[to++] = Math.round(mix(top, bottom, row.weight));
      }
    }
  }
  return { ...image, data, width, height };
}

/**
 * The middle of an image; an odd row or column too many is lost at the right and bottom.
 *
 * @throws {RangeError} when the crop is larger than the image
 */
export function cropCentre<G extends Grid>(image: G, width: number, height: number): G {
  if (width > image.width || height > image.height) {
    throw new RangeError(`${image.width} × ${image.height} holds no ${width} × ${height}`);
  }
  const { channels } = image;
  const x = Math.floor((image.width - width) / 2);
  const y = Math.floor((image.height - height) / 2);
  const data = new Uint8Array(width * height * channels);
  for (let row = 0; row < height; row++) {
    const start = ((y + row) * image.width + x) * channels;
    data.set(image.data.subarray(start, start + width * channels), row * width * channels);
  }
  return { ...image, data, width, height };
}

interface Tap {
  readonly low: number;
  readonly high: number;
  /** share of `high` */
  readonly weight: number;
}

/** For every target position the two source positions around it. */
function taps(from: number, to: number): Tap[] {
  return Array.from({ length: to }, (_, i) => {
    const position = Math.max(((i + 0.5) * from) / to - 0.5, 0);
    const low = Math.min(Math.floor(position), from - 1);
    return { low, high: Math.min(low + 1, from - 1), weight: position - low };
  });
}

function mix(a: number, b: number, weight: number): number {
  return a + (b - a) * weight;
}
