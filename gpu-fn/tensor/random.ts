/**
 * PyTorch's CPU random generator, so that a seed means the same picture here and in diffusers.
 *
 * Integers come out equal. Normal values agree within 5e-7, one unit in the last place of the largest
 * ones: PyTorch's vectorised log, sine and cosine differ from processor to processor by that much, and
 * five values in six are equal to the bit. JavaScript takes these functions from one portable source, so
 * this stream is the same on every machine.
 *
 * @see Matsumoto & Nishimura 1998, Mersenne Twister: 623-dimensionally equidistributed generator
 * @see pytorch aten/src/ATen/native/cpu/DistributionTemplates.h, normal_fill
 */

/** A stream of random numbers; every call continues where the last one ended. */
export interface Random {
  /** @returns float32 `[length]`, N(0, 1): the values of `torch.randn(length, generator=…)` */
  normal(length: number): Float32Array;
}

/**
 * @param seed  any safe integer ≥ 0; as in PyTorch only its low 32 bits count
 * @throws {RangeError} when the seed is no safe integer ≥ 0
 */
export function createRandom(seed: number): Random {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`seed ${seed} is not an integer from 0 to ${Number.MAX_SAFE_INTEGER}`);
  }
  const next32 = createMersenneTwister(seed % 2 ** 32);
  const normalPair = createScalarNormal(next32);
  return {
    normal(length) {
      return length < BLOCK ? normalPair(length) : normalBlocks(next32, length);
    },
  };
}

const STATE_LENGTH = 624;
const SHIFT = 397;

/** MT19937 after `init_genrand(seed)`. @returns a function that draws the next uint32 */
export function createMersenneTwister(seed: number): () => number {
  const state = new Uint32Array(STATE_LENGTH);
  state[0] = seed;
  for (let i = 1; i < STATE_LENGTH; i++) {
    const previous = state[i - 1]! ^ (state[i - 1]! >>> 30);
    state[i] = Math.imul(1812433253, previous) + i;
  }
  let index = STATE_LENGTH;
  return () => {
    if (index === STATE_LENGTH) {
      twist(state);
      index = 0;
    }
    let y = state[index++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  };
}

function twist(state: Uint32Array): void {
  for (let i = 0; i < STATE_LENGTH; i++) {
    const y = (state[i]! & 0x80000000) | (state[(i + 1) % STATE_LENGTH]! & 0x7fffffff);
    const odd = y & 1 ? 0x9908b0df : 0;
    state[i] = state[(i + SHIFT) % STATE_LENGTH]! ^ (y >>> 1) ^ odd;
  }
}

/** PyTorch transforms the buffer in runs of 16: eight radii, then eight angles. */
const BLOCK = 16;
const HALF = BLOCK / 2;
const FLOAT_MASK = 0xffffff;
const FLOAT_UNIT = 2 ** -24;

function normalBlocks(next32: () => number, length: number): Float32Array {
  const values = new Float32Array(length);
  fillUniform(next32, values);
  for (let start = 0; start + BLOCK <= length; start += BLOCK) {
    boxMuller(values, start);
  }
  if (length % BLOCK !== 0) {
    // An incomplete last run: the last 16 positions are drawn anew and transformed once more.
    const tail = values.subarray(length - BLOCK);
    fillUniform(next32, tail);
    boxMuller(tail, 0);
  }
  return values;
}

function fillUniform(next32: () => number, values: Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    values[i] = (next32() & FLOAT_MASK) * FLOAT_UNIT;
  }
}

const { fround } = Math;
const TWO_PI = fround(2 * Math.PI);

/** Every intermediate is rounded to float32, as in the reference. */
function boxMuller(values: Float32Array, start: number): void {
  for (let j = start; j < start + HALF; j++) {
    const log = fround(Math.log(1 - values[j]!)); // 1 − u is exact, in (0, 1]
    const radius = fround(Math.sqrt(-2 * log));
    const angle = fround(TWO_PI * values[j + HALF]!);
    values[j] = radius * fround(Math.cos(angle));
    values[j + HALF] = radius * fround(Math.sin(angle));
  }
}

const DOUBLE_UNIT = 2 ** -53;

/** Fewer than 16 values take another path: pairs in double precision, the second one kept for later. */
function createScalarNormal(next32: () => number): (length: number) => Float32Array {
  let spare: number | undefined;
  const uniform = () => {
    const high = next32();
    const low = next32();
    return ((high & 0x1fffff) * 2 ** 32 + low) * DOUBLE_UNIT; // the low 53 bits of 64
  };
  const draw = () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const angle = 2 * Math.PI * uniform();
    const radius = Math.sqrt(-2 * Math.log1p(-uniform()));
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  return (length) => Float32Array.from({ length }, draw);
}
