/**
 * One tensor of a checkpoint, read row by row as float32 whatever its dtype on disk, or as int8 rows with one
 * scale each when it is stored so.
 *
 * "Rows" are slices along the first axis: output features of a linear layer, output channels of a convolution.
 */
import { CheckpointError } from '../safetensors/errors.ts';
import type { TensorEntry, TensorStore } from '../safetensors/safetensors.ts';
import { toFloat32 } from '../safetensors/to-float32.ts';

export interface QuantizedRows {
  /** `[count, rowLength]` */
  readonly values: Int8Array;
  /** `[count]`: weight = value · scale */
  readonly scales: Float32Array;
}

/** Bytes of one piece; small enough to keep memory flat, large enough for few reads. */
const PIECE_BYTES = 4 * 2 ** 20;

/** A weight as emitters see it: rows of floats, or of int8 with scales. */
export interface WeightReader {
  readonly name: string;
  readonly shape: readonly number[];
  /** size of the first axis; a scalar has one row */
  readonly rowCount: number;
  /** elements of one row */
  readonly rowLength: number;
  /** Stored as int8 with row scales: integers are used as they are, nothing is quantised twice. */
  readonly isQuantized: boolean;
  /** Pieces of whole rows, in order, of at most a few megabytes. */
  pieces(): Iterable<{ readonly start: number; readonly count: number }>;
  /** float32 `[count, rowLength]` */
  floatRows(start: number, count: number): Promise<Float32Array>;
  /** The stored integers; only when `isQuantized`. */
  quantizedRows(start: number, count: number): Promise<QuantizedRows>;
}

export class TensorReader implements WeightReader {
  readonly name: string;
  readonly shape: readonly number[];
  readonly #store: TensorStore;
  readonly #entry: TensorEntry;
  readonly #scale: TensorEntry | undefined;

  constructor(
    store: TensorStore,
    entry: TensorEntry,
    scale: TensorEntry | undefined,
    shape: readonly number[],
  ) {
    this.name = entry.name;
    this.shape = shape;
    this.#store = store;
    this.#entry = entry;
    this.#scale = scale;
  }

  get rowCount(): number {
    return this.shape[0] ?? 1;
  }

  get rowLength(): number {
    return this.shape.slice(1).reduce((product, size) => product * size, 1);
  }

  get isQuantized(): boolean {
    return this.#scale !== undefined;
  }

  *pieces(): Generator<{ start: number; count: number }> {
    const rowBytes = Math.max(this.rowLength * 4, 1);
    const step = Math.max(1, Math.floor(PIECE_BYTES / rowBytes));
    for (let start = 0; start < this.rowCount; start += step) {
      yield { start, count: Math.min(step, this.rowCount - start) };
    }
  }

  async floatRows(start: number, count: number): Promise<Float32Array> {
    if (this.#scale !== undefined) {
      const { values, scales } = await this.quantizedRows(start, count);
      return dequantizeRows(values, scales, this.rowLength);
    }
    const bytes = await this.#bytes(this.#entry, start, count);
    const values = toFloat32(bytes, this.#entry);
    if (values === undefined) {
      throw new CheckpointError(
        `${this.#store.path}: tensor ${this.name}: ${this.#entry.dtype} without a .scale beside it is no weight`,
      );
    }
    return values;
  }

  async quantizedRows(start: number, count: number): Promise<QuantizedRows> {
    if (this.#scale === undefined) throw new TypeError(`${this.name} is not stored as int8`);
    const values = await this.#bytes(this.#entry, start, count);
    const scales = await this.#store.read(this.#scale.name, start * 4, (start + count) * 4);
    return {
      values: new Int8Array(values.buffer, values.byteOffset, values.length),
      scales: new Float32Array(scales.buffer, scales.byteOffset, count),
    };
  }

  async #bytes(entry: TensorEntry, start: number, count: number): Promise<Uint8Array> {
    const rowBytes = this.rowLength * ELEMENT_BYTES[entry.dtype];
    return await this.#store.read(entry.name, start * rowBytes, (start + count) * rowBytes);
  }
}

const ELEMENT_BYTES = { F32: 4, F16: 2, BF16: 2, I8: 1, U8: 1, I64: 8 } as const;

function dequantizeRows(values: Int8Array, scales: Float32Array, rowLength: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0, i = 0; row < scales.length; row += 1) {
    const scale = scales[row]!;
    for (const end = i + rowLength; i < end; i += 1) out[i] = values[i]! * scale;
  }
  return out;
}
