/**
 * A `.pth` file of `torch.save` as a store of tensors.
 *
 * Of the dictionaries that training writes, the weights are taken: `state_dict` (or `model`), or the file's own
 * dictionary when it holds tensors. Optimiser state and moving averages stay unread.
 */
import { open } from 'node:fs/promises';
import { CheckpointError } from '../../safetensors/errors.ts';
import type { TensorEntry, TensorStore } from '../../safetensors/safetensors.ts';
import { PICKLE_BYTES_MAX, type Pickled, PickledTensor, unpickle } from './unpickle.ts';
import { readBytes, readZip, type ZipMember } from './zip.ts';

const DTYPE_BYTES = { F32: 4, F16: 2, BF16: 2, I8: 1, U8: 1, I64: 8 } as const;
const WEIGHTS = ['state_dict', 'model'] as const;

interface Place {
  readonly entry: TensorEntry;
  readonly begin: number;
}

/** @throws {CheckpointError} when the file is no archive of tensors, or asks for anything else */
export async function openPth(path: string): Promise<TensorStore> {
  const handle = await open(path, 'r');
  try {
    const members = await readZip(handle, path);
    const pickle = [...members.values()].find(({ name }) => name.endsWith('/data.pkl'));
    if (pickle === undefined) throw new CheckpointError(`${path}: the archive has no data.pkl`);
    const length = pickle.end - pickle.begin;
    if (length > PICKLE_BYTES_MAX) {
      throw new CheckpointError(`${path}: a pickle of ${length} bytes, limit ${PICKLE_BYTES_MAX}`);
    }
    const root = pickle.name.slice(0, -'data.pkl'.length);
    await checkByteOrder(members.get(`${root}byteorder`));
    const value = unpickle(await readBytes(handle, path, pickle.begin, length), path);
    const places = new Map<string, Place>();
    for (const [name, tensor] of weightsOf(value, path)) {
      places.set(name, place(name, tensor, members.get(`${root}data/${tensor.storage.key}`), path));
    }
    return {
      path,
      entries: new Map([...places].map(([name, { entry }]) => [name, entry])),
      metadata: new Map(),
      async read(name, begin, end) {
        const found = places.get(name);
        if (found === undefined) throw new CheckpointError(`${path}: tensor ${name} is missing`);
        if (begin < 0 || end < begin || end > found.entry.byteLength) {
          throw new RangeError(`bytes ${begin}–${end} of ${name}`);
        }
        // A copy of its own: callers look at it as floats, which wants an aligned start.
        return Uint8Array.from(await readBytes(handle, path, found.begin + begin, end - begin));
      },
      [Symbol.asyncDispose]: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }

  async function checkByteOrder(member: ZipMember | undefined): Promise<void> {
    if (member === undefined) return;
    const text = await readBytes(
      handle,
      path,
      member.begin,
      Math.min(member.end - member.begin, 16),
    );
    if (text.toString('latin1') !== 'little') {
      throw new CheckpointError(`${path}: byte order ${JSON.stringify(text.toString('latin1'))}`);
    }
  }
}

function weightsOf(value: Pickled, path: string): Map<string, PickledTensor> {
  if (!(value instanceof Map)) throw new CheckpointError(`${path} holds no dictionary`);
  const inner = WEIGHTS.map((key) => value.get(key)).find((each) => each instanceof Map);
  const dictionary = inner instanceof Map ? inner : value;
  const weights = new Map<string, PickledTensor>();
  for (const [name, tensor] of dictionary) {
    if (typeof name === 'string' && tensor instanceof PickledTensor) weights.set(name, tensor);
  }
  if (weights.size === 0) throw new CheckpointError(`${path} holds no tensors`);
  return weights;
}

function place(
  name: string,
  { storage, offset, shape, strides }: PickledTensor,
  member: ZipMember | undefined,
  path: string,
): Place {
  const where = `${path}: tensor ${name}`;
  const { dtype } = storage;
  const elements = shape.reduce((product, size) => product * size, 1);
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    if (shape[axis] !== 1 && strides[axis] !== expected) {
      throw new CheckpointError(`${where} is a view that is not stored row by row`);
    }
    expected *= shape[axis]!;
  }
  const begin = offset * DTYPE_BYTES[dtype];
  const byteLength = elements * DTYPE_BYTES[dtype];
  if (
    member === undefined ||
    !Number.isSafeInteger(byteLength) ||
    begin + byteLength > member.end - member.begin
  ) {
    throw new CheckpointError(
      `${where}: ${dtype} [${shape.join(', ')}] lies outside of its storage`,
    );
  }
  return { entry: { name, dtype, shape, byteLength }, begin: member.begin + begin };
}
