/**
 * Weights beside a graph: one file per graph, tensors written one after the other as they are produced.
 *
 * Nothing here holds a tensor: a source yields its bytes in pieces, which are hashed and written. Offsets follow
 * from dtype × shape alone, so the graph can be encoded before or after its weights exist.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { bytesPerElement, type Dtype } from './dtype.ts';
import { elementCount } from './shape.ts';
import type { ExternalLocation } from './writer.ts';

/** A tensor that can be read once, in order. */
export interface TensorSource {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Little-endian bytes in row-major order; the pieces' lengths sum up to dtype × shape. */
  chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface PlannedTensor {
  readonly source: TensorSource;
  readonly location: ExternalLocation;
}

export interface WrittenFile {
  readonly bytes: number;
  /** 64 lower-case hexadecimal digits */
  readonly sha256: string;
}

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the number of bytes just written. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** Memory-mapped tensors start at a page; small ones only where every kernel's loads are aligned. */
const PAGE_BYTES = 4096;
const SMALL_ALIGNMENT_BYTES = 64;

export function sourceBytes({ dtype, shape }: Pick<TensorSource, 'dtype' | 'shape'>): number {
  return elementCount(shape) * bytesPerElement(dtype);
}

/** Gives each source a place in the file `location`, in order. */
export function planExternalData(
  sources: readonly TensorSource[],
  location: string,
): PlannedTensor[] {
  let end = 0;
  return sources.map((source) => {
    const length = sourceBytes(source);
    const alignment = length >= PAGE_BYTES ? PAGE_BYTES : SMALL_ALIGNMENT_BYTES;
    const offset = Math.ceil(end / alignment) * alignment;
    end = offset + length;
    return { source, location: { location, offset, length } };
  });
}

/**
 * Streams planned tensors to `path`, which must not exist.
 *
 * @throws {RangeError} when a source yields another number of bytes than its shape says
 */
export async function writeExternalData(
  path: string,
  tensors: readonly PlannedTensor[],
  { signal, onBytes }: WriteOptions = {},
): Promise<WrittenFile> {
  const hash = createHash('sha256');
  await using file = await open(path, 'wx');
  let position = 0;
  const write = async (bytes: Uint8Array) => {
    signal?.throwIfAborted();
    for (let done = 0; done < bytes.length; ) {
      done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
    }
    hash.update(bytes);
    position += bytes.length;
    onBytes?.(bytes.length);
  };
  const pending = new ByteCollector(write);
  for (const { source, location } of tensors) {
    await pending.add(new Uint8Array(location.offset - pending.end));
    for await (const chunk of source.chunks()) await pending.add(chunk);
    if (pending.end !== location.offset + location.length) {
      throw new RangeError(
        `a tensor of ${location.length} bytes yielded ${pending.end - location.offset}`,
      );
    }
  }
  await pending.flush();
  return { bytes: position, sha256: hash.digest('hex') };
}

const COLLECT_BYTES = 1 << 20;

/** Joins small pieces, so that a file of many biases is not many writes. */
class ByteCollector {
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  readonly #buffer = new Uint8Array(COLLECT_BYTES);
  #held = 0;
  /** file offset after the last byte added */
  end = 0;

  constructor(write: (bytes: Uint8Array) => Promise<void>) {
    this.#write = write;
  }

  async add(bytes: Uint8Array): Promise<void> {
    this.end += bytes.length;
    if (this.#held + bytes.length > COLLECT_BYTES) await this.flush();
    if (bytes.length > COLLECT_BYTES) return await this.#write(bytes);
    this.#buffer.set(bytes, this.#held);
    this.#held += bytes.length;
  }

  async flush(): Promise<void> {
    if (this.#held > 0) await this.#write(this.#buffer.subarray(0, this.#held));
    this.#held = 0;
  }
}
