/**
 * Any rectangle of an image at any size, by our own arithmetic.
 *
 * Enlarging is bilinear with half-pixel centres; reducing widens the same triangle, so that every source pixel counts
 * (`antialias=True` in PyTorch's words). Outside of the image its edge goes on.
 */

export interface Raster {
  /** uint8 `[height, width, channels]` */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** In source pixels; may lie between them and reach beyond the image. */
export interface Window {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** @returns uint8 `[height, width, channels]`, rounded to nearest; the same bytes where nothing changes */
export function resampleWindow(
  image: Raster,
  window: Window,
  size: { readonly width: number; readonly height: number },
): Uint8Array {
  const { channels } = image;
  const columns = weights({ from: window.x, span: window.width, limit: image.width }, size.width);
  const rows = weights({ from: window.y, span: window.height, limit: image.height }, size.height);
  const stride = size.width * channels;
  const wide = new Float32Array(image.height * stride);
  const needed = neededRows(rows, image.height);
  for (let row = 0; row < image.height; row += 1) {
    if (needed[row] === 0) continue;
    for (const [column, { first, shares }] of columns.entries()) {
      for (let channel = 0; channel < channels; channel += 1) {
        let sum = 0;
        for (const [i, share] of shares.entries()) {
          const from = clamp(first + i, image.width);
          sum += share * image.data[(row * image.width + from) * channels + channel]!;
        }
        wide[row * stride + column * channels + channel] = sum;
      }
    }
  }
  const out = new Uint8Array(size.height * stride);
  for (const [row, { first, shares }] of rows.entries()) {
    for (let at = 0; at < stride; at += 1) {
      let sum = 0;
      for (const [i, share] of shares.entries()) {
        sum += share * wide[clamp(first + i, image.height) * stride + at]!;
      }
      out[row * stride + at] = Math.round(Math.min(Math.max(sum, 0), 255));
    }
  }
  return out;
}

interface Taps {
  /** may lie outside of the image */
  readonly first: number;
  /** of consecutive source pixels; they sum to 1 */
  readonly shares: readonly number[];
}

function weights(
  { from, span, limit }: { from: number; span: number; limit: number },
  count: number,
): Taps[] {
  const scale = span / count;
  const support = Math.max(scale, 1);
  return Array.from({ length: count }, (_, i) => {
    const centre = from + (i + 0.5) * scale - 0.5;
    const first = Math.ceil(centre - support);
    const last = Math.floor(centre + support);
    const shares: number[] = [];
    for (let at = first; at <= last; at += 1) {
      shares.push(Math.max(1 - Math.abs(at - centre) / support, 0));
    }
    const total = shares.reduce((sum, share) => sum + share, 0);
    return narrowed(
      first,
      shares.map((share) => share / total),
      limit,
    );
  });
}

/** Drops what lies beyond the edges but for one pixel each, which the edge pixel stands for. */
function narrowed(first: number, shares: readonly number[], limit: number): Taps {
  const before = Math.min(Math.max(-first, 0), shares.length - 1);
  const beyond = Math.min(Math.max(first + shares.length - limit, 0), shares.length - 1 - before);
  if (before === 0 && beyond === 0) return { first, shares };
  const sum = (part: readonly number[]) => part.reduce((a, b) => a + b, 0);
  const kept = shares.slice(before, shares.length - beyond);
  kept[0] = kept[0]! + sum(shares.slice(0, before));
  const end = kept.length - 1;
  kept[end] = kept[end]! + sum(shares.slice(shares.length - beyond));
  return { first: first + before, shares: kept };
}

function neededRows(rows: readonly Taps[], height: number): Uint8Array {
  const needed = new Uint8Array(height);
  for (const { first, shares } of rows) {
    for (const i of shares.keys()) needed[clamp(first + i, height)] = 1;
  }
  return needed;
}

function clamp(index: number, limit: number): number {
  return Math.min(Math.max(index, 0), limit - 1);
}
