import { stat, truncate, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CheckpointError } from '../../../gpu-fn/safetensors/errors.ts';
import { HEADER_BYTES_MAX, openSafetensors } from '../../../gpu-fn/safetensors/safetensors.ts';
import {
  encodeSafetensors,
  joinSafetensors,
  type TensorToWrite,
} from '../../helpers/safetensors-file.ts';
import { type TemporaryFolder, temporaryFolder } from '../../helpers/temporary-folder.ts';

let folder: TemporaryFolder;
let path: string;
beforeEach(() => {
  folder = temporaryFolder();
  path = `${folder.path}/model.safetensors`;
});
afterEach(() => folder[Symbol.asyncDispose]());

const f32 = (...values: number[]): TensorToWrite => ({
  dtype: 'F32',
  shape: [values.length],
  data: Float32Array.from(values),
});

/** Opens a file with this header over so many bytes of data and returns what it was refused for. */
async function refusal(header: unknown, dataBytes: number): Promise<string> {
  await writeFile(
    path,
    joinSafetensors(typeof header === 'string' ? header : JSON.stringify(header), dataBytes),
  );
  return await refusalOf(() => openSafetensors(path));
}

async function refusalOf(open: () => Promise<unknown>): Promise<string> {
  try {
    await open();
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError);
    return error instanceof Error ? error.message : '';
  }
  return expect.fail('the file was accepted');
}

describe('openSafetensors()', () => {
  it('lists tensors and reads any part of them', async () => {
    await writeFile(path, encodeSafetensors({ a: f32(1, 2, 3), b: f32(4) }, { format: 'pt' }));
    await using store = await openSafetensors(path);
    expect([...store.entries.keys()]).toEqual(['a', 'b']);
    expect(store.entries.get('a')).toEqual({ name: 'a', dtype: 'F32', shape: [3], byteLength: 12 });
    const bytes = await store.read('a', 4, 12);
    expect([...new Float32Array(bytes.buffer)]).toEqual([2, 3]);
    await expect(store.read('a', 4, 16)).rejects.toThrow(RangeError);
  });

  it('takes every dtype, scalars, empty tensors and a padded header', async () => {
    const tensors: Record<string, TensorToWrite> = {
      f16: { dtype: 'F16', shape: [1], data: new Uint16Array(1) },
      bf16: { dtype: 'BF16', shape: [1], data: new Uint16Array(1) },
      i8: { dtype: 'I8', shape: [1], data: new Int8Array(1) },
      u8: { dtype: 'U8', shape: [1], data: new Uint8Array(1) },
      i64: { dtype: 'I64', shape: [1], data: new BigInt64Array(1) },
      scalar: { dtype: 'F32', shape: [], data: new Float32Array(1) },
      empty: { dtype: 'F32', shape: [0, 4], data: new Float32Array(0) },
    };
    await writeFile(path, encodeSafetensors(tensors));
    await using store = await openSafetensors(path);
    expect(store.entries.size).toBe(7);
    await writeFile(
      path,
      joinSafetensors('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}   ', 2),
    );
    await using padded = await openSafetensors(path);
    expect(padded.entries.size).toBe(1);
  });

  it('refuses files that are too short for their header, naming the file', async () => {
    await writeFile(path, new Uint8Array(7));
    expect(await refusalOf(() => openSafetensors(path))).toBe(
      `${path}: 7 bytes are no safetensors file`,
    );
    const claimed = new Uint8Array(16);
    new DataView(claimed.buffer).setBigUint64(0, 9n, true);
    await writeFile(path, claimed);
    expect(await refusalOf(() => openSafetensors(path))).toContain('header of 9 bytes');
    new DataView(claimed.buffer).setBigUint64(0, 2n ** 63n, true);
    await writeFile(path, claimed);
    expect(await refusalOf(() => openSafetensors(path))).toContain(
      `the limit is ${HEADER_BYTES_MAX}`,
    );
    expect(await refusalOf(() => openSafetensors(`${path}.none`))).toContain('does not exist');
  });

  it('refuses headers that are no JSON object in UTF-8', async () => {
    expect(await refusal('{', 0)).toContain('malformed JSON');
    expect(await refusal('[]', 0)).toContain('not a JSON object');
    const bytes = joinSafetensors('{"a":1}', 0);
    bytes[10] = 0xff;
    await writeFile(path, bytes);
    expect(await refusalOf(() => openSafetensors(path))).toContain('not UTF-8');
  });

  it.each<[string, unknown, number, string]>([
    [
      'an unknown dtype',
      { dtype: 'F8_E4M3', shape: [2], data_offsets: [0, 2] },
      2,
      'dtype F8_E4M3 is not one of',
    ],
    [
      'a dtype from the prototype',
      { dtype: 'constructor', shape: [2], data_offsets: [0, 2] },
      2,
      'dtype constructor',
    ],
    [
      'a shape that needs more bytes',
      { dtype: 'F32', shape: [2, 2], data_offsets: [0, 4] },
      4,
      'needs 16 bytes, its offsets hold 4',
    ],
    ['a negative size', { dtype: 'F32', shape: [-1], data_offsets: [0, 4] }, 4, 'shape'],
    ['a fractional size', { dtype: 'F32', shape: [0.5], data_offsets: [0, 2] }, 2, 'shape'],
    [
      'a product past 2⁵³',
      { dtype: 'F32', shape: [2 ** 40, 2 ** 40], data_offsets: [0, 4] },
      4,
      'needs',
    ],
    [
      'offsets the wrong way round',
      { dtype: 'F32', shape: [1], data_offsets: [4, 0] },
      4,
      'its offsets hold -4',
    ],
    [
      'offsets past the end of the file',
      { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
      4,
      'ends at byte',
    ],
    [
      'too many dimensions',
      { dtype: 'U8', shape: [1, 1, 1, 1, 1, 1, 1, 1, 1], data_offsets: [0, 1] },
      1,
      'shape',
    ],
    ['a missing member', { dtype: 'U8', shape: [1] }, 1, 'data_offsets'],
    [
      'an unknown member',
      { dtype: 'U8', shape: [1], data_offsets: [0, 1], stride: 1 },
      1,
      'stride',
    ],
    ['no object', 'U8', 1, 'tensor weight'],
  ])('refuses %s, naming the tensor', async (_what, entry, dataBytes, reason) => {
    const message = await refusal({ weight: entry }, dataBytes);
    expect(message).toContain(`${path}: tensor weight`);
    expect(message).toContain(reason);
  });

  it('refuses overlaps, holes and trailing bytes', async () => {
    const entry = (begin: number, end: number) => ({
      dtype: 'U8',
      shape: [end - begin],
      data_offsets: [begin, end],
    });
    expect(await refusal({ a: entry(0, 4), b: entry(3, 8) }, 8)).toContain('tensor b: overlaps');
    expect(await refusal({ a: entry(0, 4), b: entry(0, 4) }, 4)).toContain('overlaps');
    expect(await refusal({ a: entry(0, 4), b: entry(5, 8) }, 8)).toContain(
      'tensor b: leaves a hole',
    );
    expect(await refusal({ a: entry(1, 4) }, 4)).toContain('tensor a: leaves a hole');
    expect(await refusal({ a: entry(0, 4) }, 5)).toContain('1 bytes after the last tensor');
  });

  it('refuses a tensor whose file was cut after it was opened', async () => {
    await writeFile(path, encodeSafetensors({ a: f32(1, 2, 3, 4) }));
    await using store = await openSafetensors(path);
    await truncate(path, (await stat(path)).size - 4);
    await expect(store.read('a', 0, 16)).rejects.toThrow(CheckpointError);
  });
});

describe('openSafetensors() with an index', () => {
  const indexPath = () => `${folder.path}/model.safetensors.index.json`;
  const write = async (weightMap: unknown) => {
    await writeFile(`${folder.path}/one.safetensors`, encodeSafetensors({ a: f32(1), b: f32(2) }));
    await writeFile(`${folder.path}/two.safetensors`, encodeSafetensors({ c: f32(3) }));
    await writeFile(
      indexPath(),
      JSON.stringify({ metadata: { total_size: 12 }, weight_map: weightMap }),
    );
  };
  const refused = () => refusalOf(() => openSafetensors(path, indexPath()));

  it('reads each tensor from the shard that the index names', async () => {
    await write({ a: 'one.safetensors', b: 'one.safetensors', c: 'two.safetensors' });
    await using store = await openSafetensors(path, indexPath());
    const read = async (name: string) => new Float32Array((await store.read(name, 0, 4)).buffer)[0];
    expect([await read('a'), await read('b'), await read('c')]).toEqual([1, 2, 3]);
  });

  it('falls back to the single file when there is no index', async () => {
    await writeFile(path, encodeSafetensors({ a: f32(1) }));
    await using store = await openSafetensors(path, indexPath());
    expect(store.entries.size).toBe(1);
  });

  it('refuses an index that disagrees with its shards', async () => {
    await write({ a: 'one.safetensors', c: 'two.safetensors' });
    expect(await refused()).toContain('tensor b is not listed');
    await write({ a: 'one.safetensors', b: 'two.safetensors', c: 'two.safetensors' });
    expect(await refused()).toContain('tensor b is not in two.safetensors');
    await write({ a: 'one.safetensors', b: 'one.safetensors', c: 'three.safetensors' });
    expect(await refused()).toContain('three.safetensors is missing');
  });

  it('refuses file names that leave the folder', async () => {
    for (const name of ['../one.safetensors', '/etc/passwd', 'sub/one.safetensors', '..']) {
      await write({ a: name });
      expect(await refused()).toContain('is not a file name');
    }
  });

  it('refuses an index without a weight map', async () => {
    await write(['a']);
    expect(await refused()).toContain('no weight_map');
    await write({ a: 1 });
    expect(await refused()).toContain('no weight_map');
    await writeFile(indexPath(), '{');
    expect(await refused()).toContain('malformed JSON');
  });
});
