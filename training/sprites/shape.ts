/** Geometry of a drawing's silhouette: bounding box, coverage, distance to the outside, inscribed circle. */

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Circle {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

/** Alpha at or below this does not count as part of the drawing. */
const ALPHA_VISIBLE_MIN = 8;

/** @param rgba uint8 `[height, width, 4]`; null when nothing is visible. */
export function boundingBox(rgba: Uint8Array, width: number, height: number): Box | null {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (rgba[(y * width + x) * 4 + 3]! <= ALPHA_VISIBLE_MIN) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  if (right < 0) return null;
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** Part of the square, 0–1, that the drawing covers (sum of alpha). */
export function coverage(rgba: Uint8Array): number {
  let sum = 0;
  for (let i = 3; i < rgba.length; i += 4) sum += rgba[i]!;
  return sum / 255 / (rgba.length / 4);
}

/**
 * Euclidean distance of every pixel centre to the nearest one outside the silhouette (alpha < 128), in pixels;
 * the frame's border counts as outside. Exact, in two passes of lower envelopes of parabolas.
 *
 * @returns float `[side, side]`
 * @see Felzenszwalb & Huttenlocher 2012, "Distance Transforms of Sampled Functions", §2.1
 */
export function distanceToOutside(rgba: Uint8Array, side: number): Float64Array {
  const padded = side + 2;
  const squared = new Float64Array(padded * padded);
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const inside = rgba[(y * side + x) * 4 + 3]! >= 128;
      squared[(y + 1) * padded + x + 1] = inside ? 1e9 : 0;
    }
  }
  const line = new Float64Array(padded);
  for (let x = 0; x < padded; x += 1) {
    for (let y = 0; y < padded; y += 1) line[y] = squared[y * padded + x]!;
    const done = transformLine(line);
    for (let y = 0; y < padded; y += 1) squared[y * padded + x] = done[y]!;
  }
  for (let y = 0; y < padded; y += 1) {
    squared.set(transformLine(squared.slice(y * padded, (y + 1) * padded)), y * padded);
  }
  const distance = new Float64Array(side * side);
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      distance[y * side + x] = Math.sqrt(squared[(y + 1) * padded + x + 1]!);
    }
  }
  return distance;
}

function transformLine(f: Float64Array): Float64Array {
  const n = f.length;
  const out = new Float64Array(n);
  const apex = new Int32Array(n);
  const border = new Float64Array(n + 1);
  let k = 0;
  border[0] = Number.NEGATIVE_INFINITY;
  border[1] = Number.POSITIVE_INFINITY;
  for (let q = 1; q < n; q += 1) {
    let s = crossing(f, apex[k]!, q);
    while (s <= border[k]!) {
      k -= 1;
      s = crossing(f, apex[k]!, q);
    }
    k += 1;
    apex[k] = q;
    border[k] = s;
    border[k + 1] = Number.POSITIVE_INFINITY;
  }
  k = 0;
  for (let q = 0; q < n; q += 1) {
    while (border[k + 1]! < q) k += 1;
    out[q] = (q - apex[k]!) ** 2 + f[apex[k]!]!;
  }
  return out;
}

const crossing = (f: Float64Array, p: number, q: number): number =>
  (f[q]! + q * q - (f[p]! + p * p)) / (2 * (q - p));

/** Largest circle that fits inside the silhouette; the first one in reading order among equals. */
export function inscribedCircle(distance: Float64Array, side: number): Circle {
  let best = 0;
  for (let i = 1; i < distance.length; i += 1) if (distance[i]! > distance[best]!) best = i;
  return { x: best % side, y: Math.floor(best / side), radius: round(distance[best]!) };
}

const round = (value: number): number => Math.round(value * 100) / 100;
