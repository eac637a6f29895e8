/**
 * The fixed 2-D sine-cosine position embedding of PixArt's patches.
 *
 * Each axis spans the same range whatever the size, so a picture of another size or ratio is seen as the native one
 * stretched: x = column / (columns / base) / scale with base = sample_size / patch_size.
 *
 * @see diffusers `embeddings.py`, get_2d_sincos_pos_embed
 */
export interface PositionEmbeddingOptions {
  /** channels D, a multiple of 4 */
  readonly width: number;
  /** patches along each axis */
  readonly rows: number;
  readonly columns: number;
  /** patches along one side of the native picture: sample_size / patch_size */
  readonly base: number;
  readonly interpolationScale: number;
}

/**
 * @returns float32 `[rows·columns, D]`: sin x, cos x, sin y, cos y, a quarter of the channels each. Angles are
 *          computed in double precision from coordinates rounded to float32, as the reference does.
 */
export function positionEmbedding(options: PositionEmbeddingOptions): Float32Array {
  const { width, rows, columns } = options;
  const quarter = width / 4;
  const frequencies = Array.from({ length: quarter }, (_, k) => 10_000 ** (-k / quarter));
  const horizontal = axisTable(coordinates(columns, options), frequencies);
  const vertical = axisTable(coordinates(rows, options), frequencies);
  const out = new Float32Array(rows * columns * width);
  const half = 2 * quarter;
  for (let row = 0, at = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1, at += width) {
      out.set(horizontal.subarray(column * half, (column + 1) * half), at);
      out.set(vertical.subarray(row * half, (row + 1) * half), at + half);
    }
  }
  return out;
}

function coordinates(
  count: number,
  { base, interpolationScale }: PositionEmbeddingOptions,
): number[] {
  const { fround } = Math;
  const stretch = fround(count / base);
  return Array.from({ length: count }, (_, i) => fround(fround(i / stretch) / interpolationScale));
}

/** `[count, sin of every frequency | cos of every frequency]` */
function axisTable(positions: readonly number[], frequencies: readonly number[]): Float32Array {
  const count = frequencies.length;
  const table = new Float32Array(positions.length * 2 * count);
  for (const [i, position] of positions.entries()) {
    for (const [k, frequency] of frequencies.entries()) {
      table[i * 2 * count + k] = Math.sin(position * frequency);
      table[i * 2 * count + count + k] = Math.cos(position * frequency);
    }
  }
  return table;
}
