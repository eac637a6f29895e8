/**
 * Shapes known while a graph is built: numbers, and products such as `2*rows*columns` for sizes known only when
 * it runs.
 *
 * A symbolic size is a positive integer times symbols, written canonically, so equal sizes are equal strings.
 */
export type Dim = number | string;
export type Shape = readonly Dim[];

/** Shapes that disagree; the message names the node and the shapes. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
}

export function shapeText(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

export function multiplyDims(...dims: readonly Dim[]): Dim {
  let factor = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    const product = parseDim(dim);
    factor *= product.factor;
    symbols.push(...product.symbols);
  }
  return formatDim(factor, symbols);
}

/** @returns dim / divisor, or undefined when the division leaves a rest */
export function divideDim(dim: Dim, divisor: Dim): Dim | undefined {
  const numerator = parseDim(dim);
  const denominator = parseDim(divisor);
  const rest = [...numerator.symbols];
  for (const symbol of denominator.symbols) {
    const at = rest.indexOf(symbol);
    if (at < 0) return undefined;
    rest.splice(at, 1);
  }
  if (numerator.factor % denominator.factor !== 0) return undefined;
  return formatDim(numerator.factor / denominator.factor, rest);
}

/**
 * Output size of a sliding window: ⌊(size + padding − window) / stride⌋ + 1.
 *
 * A symbolic size f·s stays exact when the stride divides f and the constant part vanishes: `2*h` with window 3,
 * padding 1, stride 2 is `h`.
 */
export function slideDim(
  dim: Dim,
  { window, padding, stride }: { window: number; padding: number; stride: number },
): Dim | undefined {
  if (typeof dim === 'number') {
    const size = Math.floor((dim + padding - window) / stride) + 1;
    return size > 0 ? size : undefined;
  }
  return Math.floor((padding - window) / stride) + 1 === 0 ? divideDim(dim, stride) : undefined;
}

/** NumPy broadcasting; undefined when the shapes do not fit. */
export function broadcastShapes(a: Shape, b: Shape): Dim[] | undefined {
  const rank = Math.max(a.length, b.length);
  const shape: Dim[] = [];
  for (let axis = 0; axis < rank; axis += 1) {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) return undefined;
    shape.push(left === 1 ? right : left);
  }
  return shape;
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function parseDim(dim: Dim): { factor: number; symbols: string[] } {
  if (typeof dim === 'number') return { factor: dim, symbols: [] };
  const symbols = dim.split('*');
  const factor = Number(symbols[0]);
  return Number.isInteger(factor) ? { factor, symbols: symbols.slice(1) } : { factor: 1, symbols };
}

function formatDim(factor: number, symbols: readonly string[]): Dim {
  if (symbols.length === 0) return factor;
  const product = symbols.toSorted().join('*');
  return factor === 1 ? product : `${factor}*${product}`;
}
