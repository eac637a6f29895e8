/**
 * The tensors of one component and the account of their use: each is taken exactly once, and at the end nothing
 * is left over. Knows older names of the same tensors.
 */
import { CheckpointError } from '../safetensors/errors.ts';
import type { TensorEntry, TensorStore } from '../safetensors/safetensors.ts';
import { TensorReader } from './tensor-reader.ts';

/** Row scales of an int8 tensor lie beside it under this suffix. */
const SCALE_SUFFIX = '.scale';

export interface WeightsOptions {
  /** Other names of a tensor, tried in order when the name itself is absent. */
  readonly legacyNames?: (name: string) => readonly string[];
  /** Copies that old checkpoints carry: duplicate name → the tensor that it must equal. */
  readonly duplicates?: ReadonlyMap<string, string>;
  /** Tensors that our graphs compute or do without, with the reason. */
  readonly unneeded?: ReadonlyMap<string, string>;
}

export class Weights {
  readonly #store: TensorStore;
  readonly #options: WeightsOptions;
  readonly #taken = new Set<string>();

  constructor(store: TensorStore, options: WeightsOptions = {}) {
    this.#store = store;
    this.#options = options;
  }

  /** Whether any tensor's name starts so. */
  hasPrefix(prefix: string): boolean {
    return [...this.#store.entries.keys()].some((name) => name.startsWith(prefix));
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /**
   * Claims a tensor of the expected shape. Trailing axes of size 1 in the file are accepted: very old
   * checkpoints store linear layers as 1×1 convolutions.
   *
   * @throws {CheckpointError} when it is absent, taken already, or has another shape
   */
  take(name: string, shape: readonly number[]): TensorReader {
    const where = `${this.#store.path}: tensor ${name}`;
    const entry = this.#find(name);
    if (entry === undefined) {
      throw new CheckpointError(`${where} is missing; it should be [${shape.join(', ')}]`);
    }
    if (this.#taken.has(entry.name)) throw new CheckpointError(`${where} is used twice`);
    if (!sameUpToOnes(entry.shape, shape)) {
      throw new CheckpointError(
        `${where} is [${entry.shape.join(', ')}], the configuration makes it [${shape.join(', ')}]`,
      );
    }
    this.#taken.add(entry.name);
    return new TensorReader(this.#store, entry, this.#takeScale(entry), shape);
  }

  /** Leaves every tensor under a prefix out on purpose. */
  leaveOut(prefix: string): void {
    for (const name of this.#store.entries.keys()) {
      if (name.startsWith(prefix)) this.#taken.add(name);
    }
  }

  /**
   * Closes the account.
   *
   * @throws {CheckpointError} listing every tensor that nothing used, or a duplicate that differs
   */
  async finish(): Promise<void> {
    const leftovers: string[] = [];
    for (const [name, entry] of this.#store.entries) {
      if (this.#taken.has(name) || this.#options.unneeded?.has(name) === true) continue;
      const original = this.#options.duplicates?.get(name);
      if (original !== undefined && this.#store.entries.has(original)) {
        await this.#checkDuplicate(entry, original);
      } else {
        leftovers.push(name);
      }
    }
    if (leftovers.length > 0) {
      throw new CheckpointError(
        `${this.#store.path}: ${leftovers.length} tensors belong to nothing: ${leftovers.join(', ')}`,
      );
    }
  }

  #find(name: string): TensorEntry | undefined {
    for (const candidate of [name, ...(this.#options.legacyNames?.(name) ?? [])]) {
      const entry = this.#store.entries.get(candidate);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  #takeScale(entry: TensorEntry): TensorEntry | undefined {
    const where = `${this.#store.path}: tensor ${entry.name}`;
    const scale = this.#store.entries.get(`${entry.name}${SCALE_SUFFIX}`);
    if (entry.dtype !== 'I8') {
      if (scale !== undefined) {
        throw new CheckpointError(`${where}: ${entry.dtype} with row scales; only I8 has them`);
      }
      if (entry.dtype === 'U8' || entry.dtype === 'I64') {
        throw new CheckpointError(`${where}: ${entry.dtype} is no dtype of weights`);
      }
      return undefined;
    }
    const rows = entry.shape[0] ?? 1;
    if (scale?.dtype !== 'F32' || scale.shape.length !== 1 || scale.shape[0] !== rows) {
      throw new CheckpointError(`${where}: I8 needs ${entry.name}${SCALE_SUFFIX}, F32 [${rows}]`);
    }
    this.#taken.add(scale.name);
    return scale;
  }

  async #checkDuplicate(entry: TensorEntry, originalName: string): Promise<void> {
    const original = this.#store.entries.get(originalName)!;
    const same = original.dtype === entry.dtype && original.shape.join() === entry.shape.join();
    const fault = `${this.#store.path}: tensor ${entry.name} should repeat ${originalName} and differs`;
    if (!same) throw new CheckpointError(fault);
    const rowBytes = entry.shape.slice(1).reduce((a, b) => a * b, BYTES[entry.dtype]);
    const rows = entry.shape[0] ?? 1;
    const step = Math.max(1, Math.floor(COMPARE_BYTES / Math.max(rowBytes, 1)));
    for (let row = 0; row < rows; row += step) {
      const end = Math.min(row + step, rows) * rowBytes;
      const left = await this.#store.read(entry.name, row * rowBytes, end);
      const right = await this.#store.read(originalName, row * rowBytes, end);
      if (Buffer.compare(left, right) !== 0) throw new CheckpointError(fault);
    }
    const scale = this.#store.entries.get(`${entry.name}${SCALE_SUFFIX}`);
    if (scale !== undefined) this.#taken.add(scale.name);
  }
}

const COMPARE_BYTES = 4 * 2 ** 20;
const BYTES = { F32: 4, F16: 2, BF16: 2, I8: 1, U8: 1, I64: 8 } as const;

function sameUpToOnes(stored: readonly number[], expected: readonly number[]): boolean {
  return (
    stored.length >= expected.length &&
    expected.every((size, axis) => stored[axis] === size) &&
    stored.slice(expected.length).every((size) => size === 1)
  );
}
