/**
 * Weights as tensor sources of the external data file: float, half, and 8-bit in the layouts that the kernels want.
 *
 * 8-bit weights are symmetric int8 with one scale per row of the checkpoint's `[out, in]` matrix (per output
 * feature or channel): w ≈ q · scale, q in −127…127. Integers that the checkpoint holds already are kept.
 *
 * Everything is read and written in pieces. Only a matrix that must be transposed is held whole, at one or four
 * bytes per element.
 */
import { CheckpointError } from '../safetensors/errors.ts';
import type { TensorSource } from './onnx/external-data.ts';
import type { QuantizedRows, WeightReader } from './tensor-reader.ts';

/** Scale of a row of zeros: any positive number serves. */
const ZERO_ROW_SCALE = 1;
const INT8_MAX = 127;
/** Adding and subtracting 1.5·2⁵² rounds a double to the nearest integer, half to even; faster than Math.round. */
const ROUND = 1.5 * 2 ** 52;
const UINT8_ZERO_POINT = 128;

export type FloatDtype = 'float32' | 'float16';

/** The tensor as stored, row after row. */
export function floatSource(
  reader: WeightReader,
  dtype: FloatDtype,
  shape = reader.shape,
): TensorSource {
  return {
    dtype,
    shape,
    async *chunks() {
      for (const { start, count } of reader.pieces()) {
        yield floatBytes(await finiteRows(reader, start, count), dtype);
      }
    },
  };
}

/** Several tensors of one shape, stacked along a new first axis. */
export function stackSource(readers: readonly WeightReader[], dtype: FloatDtype): TensorSource {
  const sources = readers.map((reader) => floatSource(reader, dtype));
  return {
    dtype,
    shape: [readers.length, ...sources[0]!.shape],
    async *chunks() {
      for (const source of sources) yield* source.chunks();
    },
  };
}

/** `[out, in]` → `[in, out]`, as MatMul wants its right side. */
export function transposedSource(reader: WeightReader, dtype: FloatDtype): TensorSource {
  const { rowCount, rowLength } = reader;
  return {
    dtype,
    shape: [rowLength, rowCount],
    async *chunks() {
      const out =
        dtype === 'float32'
          ? new Float32Array(rowCount * rowLength)
          : new Float16Array(rowCount * rowLength);
      for (const { start, count } of reader.pieces()) {
        const rows = await finiteRows(reader, start, count);
        scatterFloat(rows, out, { start, count, rowCount, rowLength });
      }
      yield new Uint8Array(out.buffer);
    },
  };
}

export interface Int8Sources {
  readonly values: TensorSource;
  /** float32 `[out]` */
  readonly scales: TensorSource;
}

/** int8 `[in, out]` and scales `[out]`, for `MatMulIntegerToFloat`. */
export function int8TransposedSources(reader: WeightReader): Int8Sources {
  const { rowCount, rowLength } = reader;
  const collected = new RowScales(reader);
  return {
    values: {
      dtype: 'int8',
      shape: [rowLength, rowCount],
      async *chunks() {
        const out = new Int8Array(rowCount * rowLength);
        for (const { start, count } of reader.pieces()) {
          const { values, scales } = await int8Rows(reader, start, count);
          collected.note(scales, start);
          scatterInt8(values, out, { start, count, rowCount, rowLength });
        }
        yield new Uint8Array(out.buffer);
      },
    },
    scales: collected.source(),
  };
}

/** int8 in the checkpoint's own layout and scales `[rows]`, for embeddings and convolutions. */
export function int8RowSources(reader: WeightReader): Int8Sources {
  const collected = new RowScales(reader);
  return {
    values: {
      dtype: 'int8',
      shape: reader.shape,
      async *chunks() {
        for (const { start, count } of reader.pieces()) {
          const { values, scales } = await int8Rows(reader, start, count);
          collected.note(scales, start);
          yield new Uint8Array(values.buffer, values.byteOffset, values.length);
        }
      },
    },
    scales: collected.source(),
  };
}

export interface BlockSources {
  /** uint8 `[out, ⌈in / blockSize⌉, blockSize]`, zero point 128, padded with 128 */
  readonly values: TensorSource;
  /** `[out, ⌈in / blockSize⌉]` */
  readonly scales: TensorSource;
}

/**
 * For `MatMulNBits` with 8 bits. Each block of a row has the row's scale, so the values are exactly those of the
 * int8 layouts above.
 */
export function blockSources(
  reader: WeightReader,
  blockSize: number,
  dtype: FloatDtype,
): BlockSources {
  const { rowCount, rowLength } = reader;
  const blocks = Math.ceil(rowLength / blockSize);
  const collected = new RowScales(reader);
  return {
    values: {
      dtype: 'uint8',
      shape: [rowCount, blocks, blockSize],
      async *chunks() {
        for (const { start, count } of reader.pieces()) {
          const { values, scales } = await int8Rows(reader, start, count);
          collected.note(scales, start);
          const out = new Uint8Array(count * blocks * blockSize).fill(UINT8_ZERO_POINT);
          for (let row = 0; row < count; row += 1) {
            const from = row * rowLength;
            const to = row * blocks * blockSize;
            for (let i = 0; i < rowLength; i += 1)
              out[to + i] = values[from + i]! + UINT8_ZERO_POINT;
          }
          yield out;
        }
      },
    },
    scales: {
      dtype,
      shape: [rowCount, blocks],
      async *chunks() {
        const out = new Float32Array(rowCount * blocks);
        for (const [row, scale] of (await collected.all()).entries())
          out.fill(scale, row * blocks, (row + 1) * blocks);
        yield floatBytes(out, dtype);
      },
    },
  };
}

/** Numbers computed by the converter. */
export function arraySource(
  values: Float32Array,
  shape: readonly number[],
  dtype: FloatDtype = 'float32',
): TensorSource {
  return { dtype, shape, chunks: () => [floatBytes(values, dtype)] };
}

/** int8 rows with their scales: the stored ones, or float rows quantised to the row's largest magnitude. */
export async function int8Rows(
  reader: WeightReader,
  start: number,
  count: number,
): Promise<QuantizedRows> {
  if (reader.isQuantized) {
    const rows = await reader.quantizedRows(start, count);
    for (const scale of rows.scales) {
      if (!(scale > 0 && scale < Number.POSITIVE_INFINITY)) {
        throw new CheckpointError(
          `tensor ${reader.name}: row scale ${scale} is not a positive number`,
        );
      }
    }
    return rows;
  }
  return quantizeRows(await reader.floatRows(start, count), reader.rowLength, reader.name);
}

export function quantizeRows(rows: Float32Array, rowLength: number, name: string): QuantizedRows {
  const count = rowLength === 0 ? 0 : rows.length / rowLength;
  const values = new Int8Array(rows.length);
  const scales = new Float32Array(count);
  for (let row = 0; row < count; row += 1) {
    const begin = row * rowLength;
    const end = begin + rowLength;
    let largest = 0;
    let sum = 0; // NaN and infinities survive in a sum, which a maximum would hide
    for (let i = begin; i < end; i += 1) {
      const magnitude = Math.abs(rows[i]!);
      sum += magnitude;
      if (magnitude > largest) largest = magnitude;
    }
    if (!Number.isFinite(sum)) throw notFinite(name, row);
    const scale = Math.fround(largest / INT8_MAX) || ZERO_ROW_SCALE;
    scales[row] = scale;
    const inverse = 1 / scale;
    for (let i = begin; i < end; i += 1) values[i] = rows[i]! * inverse + ROUND - ROUND;
  }
  return { values, scales };
}

/** Row scales noted while the values are written; a second reading finds them when they are wanted first. */
class RowScales {
  readonly #reader: WeightReader;
  readonly #scales: Float32Array<ArrayBuffer>;
  #noted = 0;

  constructor(reader: WeightReader) {
    this.#reader = reader;
    this.#scales = new Float32Array(reader.rowCount);
  }

  note(scales: Float32Array, start: number): void {
    this.#scales.set(scales, start);
    this.#noted = start + scales.length;
  }

  async all(): Promise<Float32Array<ArrayBuffer>> {
    if (this.#noted < this.#scales.length) {
      for (const { start, count } of this.#reader.pieces()) {
        this.note((await int8Rows(this.#reader, start, count)).scales, start);
      }
    }
    return this.#scales;
  }

  source(): TensorSource {
    const all = () => this.all();
    return {
      dtype: 'float32',
      shape: [this.#scales.length],
      async *chunks() {
        yield new Uint8Array((await all()).buffer);
      },
    };
  }
}

async function finiteRows(
  reader: WeightReader,
  start: number,
  count: number,
): Promise<Float32Array> {
  const rows = await reader.floatRows(start, count);
  let sum = 0;
  for (let i = 0; i < rows.length; i += 1) sum += Math.abs(rows[i]!);
  if (!Number.isFinite(sum)) throw notFinite(reader.name, start);
  return rows;
}

function notFinite(name: string, row: number): CheckpointError {
  return new CheckpointError(`tensor ${name}: NaN or infinity at or after row ${row}`);
}

function floatBytes(values: Float32Array, dtype: FloatDtype): Uint8Array {
  if (dtype === 'float32')
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return new Uint8Array(new Float16Array(values).buffer);
}

/** Rows of a tile are read side by side, so that each cache line is used whole on both sides. */
const TILE_ROWS = 64;

interface Tile {
  readonly start: number;
  readonly count: number;
  readonly rowCount: number;
  readonly rowLength: number;
}

/** Twice the same loop: one function for both element types would be several times slower. */
function scatterInt8(
  rows: Int8Array,
  out: Int8Array,
  { start, count, rowCount, rowLength }: Tile,
): void {
  for (let tile = 0; tile < count; tile += TILE_ROWS) {
    const tileEnd = Math.min(tile + TILE_ROWS, count);
    for (let column = 0; column < rowLength; column += 1) {
      const to = column * rowCount + start;
      for (let row = tile; row < tileEnd; row += 1) out[to + row] = rows[row * rowLength + column]!;
    }
  }
}

function scatterFloat(
  rows: Float32Array,
  out: Float32Array | Float16Array,
  { start, count, rowCount, rowLength }: Tile,
): void {
  for (let tile = 0; tile < count; tile += TILE_ROWS) {
    const tileEnd = Math.min(tile + TILE_ROWS, count);
    for (let column = 0; column < rowLength; column += 1) {
      const to = column * rowCount + start;
      for (let row = tile; row < tileEnd; row += 1) out[to + row] = rows[row * rowLength + column]!;
    }
  }
}
