/** Distances between what two runs computed, in decibels: higher is nearer, Infinity is equal. */

type Values = Uint8Array | Float32Array | readonly number[];

/** Peak signal to noise of 8-bit pictures: 10·log10(255² / mean squared difference). */
export function psnr(actual: Values, expected: Values): number {
  return 10 * Math.log10(255 ** 2 / meanSquaredDifference(actual, expected));
}

/** Signal to noise of tensors: 10·log10(mean expected² / mean squared difference). */
export function sqnr(actual: Values, expected: Values): number {
  let power = 0;
  for (const value of expected) power += value * value;
  return 10 * Math.log10(power / expected.length / meanSquaredDifference(actual, expected));
}

/** Largest difference over the mean size of the expected values. */
export function relativeError(actual: Values, expected: Values): number {
  checkLengths(actual, expected);
  let largest = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(actual[i]! - expected[i]!));
    size += Math.abs(expected[i]!);
  }
  return largest / (size / expected.length);
}

function meanSquaredDifference(actual: Values, expected: Values): number {
  checkLengths(actual, expected);
  let sum = 0;
  for (let i = 0; i < expected.length; i++) sum += (actual[i]! - expected[i]!) ** 2;
  return sum / expected.length;
}

function checkLengths(actual: Values, expected: Values): void {
  if (actual.length !== expected.length) {
    throw new RangeError(`${actual.length} values cannot be compared with ${expected.length}`);
  }
}
