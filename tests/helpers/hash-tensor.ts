/**
 * Tensors filled by a hash of their name, so that any language can build identical weights without a file.
 *
 * h = FNV-1a-32 of the UTF-8 name; element i is r·factor with r in [−½, ½) from a 32-bit mix of (i + 1) and h.
 */
export function hashOfName(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** r of element `index`, in [−½, ½). */
export function hashUniform(hash: number, index: number): number {
  let u = (Math.imul(index + 1, 0x9e3779b1) + Math.imul(hash, 0x85ebca6b)) >>> 0;
  u ^= u >>> 16;
  u = Math.imul(u, 0x7feb352d) >>> 0;
  u ^= u >>> 15;
  u = Math.imul(u, 0x846ca68b) >>> 0;
  u = (u ^ (u >>> 16)) >>> 0;
  return u / 2 ** 32 - 0.5;
}

export function hashFilled(
  name: string,
  shape: readonly number[],
  scale: (r: number) => number,
): Float32Array {
  const hash = hashOfName(name);
  const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
  for (let i = 0; i < data.length; i += 1) data[i] = scale(hashUniform(hash, i));
  return data;
}

/** An input: r·√12, unit variance. */
export function hashInput(name: string, shape: readonly number[]): Float32Array {
  return hashFilled(name, shape, (r) => r * Math.sqrt(12));
}

/**
 * A weight: matrices and kernels r·√(12 / fan-in), vectors named `….weight` 1 + 0.2r, all else 0.2r;
 * T5's `shared.weight` r·√12.
 */
export function hashWeight(name: string, shape: readonly number[]): Float32Array {
  if (name === 'shared.weight') return hashInput(name, shape);
  if (!name.endsWith('.weight')) return hashFilled(name, shape, (r) => 0.2 * r);
  if (shape.length < 2) return hashFilled(name, shape, (r) => 1 + 0.2 * r);
  const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
  return hashFilled(name, shape, (r) => r * Math.sqrt(12 / fanIn));
}
