/** Writes safetensors files: the header first, then tensor after tensor as they are produced. */
import { open } from 'node:fs/promises';
import type { SafetensorsDtype } from './safetensors.ts';

export interface TensorToWrite {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Little-endian bytes in row-major order; the pieces' lengths sum up to dtype × shape. */
  chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface WriteSafetensorsOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

const DTYPE_BYTES = { F32: 4, F16: 2, BF16: 2, I8: 1, U8: 1, I64: 8 } as const;
const ALIGNMENT = 8;

/**
 * Writes `path`, which must not exist.
 *
 * @throws {RangeError} when a tensor yields another number of bytes than its shape says
 */
export async function writeSafetensorsFile(
  path: string,
  tensors: readonly TensorToWrite[],
  { metadata = { format: 'pt' }, signal, onBytes }: WriteSafetensorsOptions = {},
): Promise<void> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const { name, dtype, shape } of tensors) {
    const bytes = shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
    header[name] = { dtype, shape, data_offsets: [end, end + bytes] };
    end += bytes;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT;
  const head = Buffer.alloc(8 + padded, ' ');
  head.writeBigUInt64LE(BigInt(padded));
  json.copy(head, 8);
  await using file = await open(path, 'wx');
  await file.writeFile(head);
  for (const tensor of tensors) {
    let written = 0;
    for await (const chunk of tensor.chunks()) {
      signal?.throwIfAborted();
      await file.writeFile(chunk);
      written += chunk.length;
      onBytes?.(chunk.length);
    }
    const expected = tensor.shape.reduce(
      (product, size) => product * size,
      DTYPE_BYTES[tensor.dtype],
    );
    if (written !== expected) {
      throw new RangeError(`${tensor.name} of ${expected} bytes yielded ${written}`);
    }
  }
}
