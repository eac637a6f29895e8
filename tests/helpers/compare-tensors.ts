/** Distances between tensors, for parity tests. */

export function mean(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function meanMagnitude(values: Float32Array): number {
  return values.reduce((sum, value) => sum + Math.abs(value), 0) / values.length;
}

/** Largest |a − b|; infinite when lengths differ or a value is not finite. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < a.length; i += 1) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!Number.isFinite(difference)) return Number.POSITIVE_INFINITY;
    largest = Math.max(largest, difference);
  }
  return largest;
}

/** √(Σ(a − b)² / Σb²) */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let error = 0;
  let power = 0;
  for (let i = 0; i < a.length; i += 1) {
    error += (a[i]! - b[i]!) ** 2;
    power += b[i]! ** 2;
  }
  return Math.sqrt(error / power);
}

/** Peak signal-to-noise ratio of 8-bit pictures in dB. */
export function pixelPsnr(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return Number.NEGATIVE_INFINITY;
  let error = 0;
  for (let i = 0; i < a.length; i += 1) error += (a[i]! - b[i]!) ** 2;
  return 10 * Math.log10((255 ** 2 * a.length) / error);
}
