/**
 * Reader of safetensors files, single or sharded. Files are treated as hostile: everything the header says is
 * compared with the file before the first tensor is read, and tensors are read in pieces, never whole files.
 *
 * | bytes         | content                                                                          |
 * |---------------|----------------------------------------------------------------------------------|
 * | 0–7           | uint64 LE, header length n                                                       |
 * | 8–(7 + n)     | UTF-8 JSON: name → { dtype, shape, data_offsets: [begin, end] }, `__metadata__`  |
 * | 8 + n – end   | tensors, row-major little-endian, offsets relative to this block, without holes  |
 *
 * A sharded checkpoint has an index: `{ "weight_map": { tensor name: file name } }`.
 *
 * @see https://github.com/huggingface/safetensors#format
 */
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import * as z from 'zod';
import { CheckpointError } from './errors.ts';

export type SafetensorsDtype = keyof typeof DTYPE_BYTES;

export interface TensorEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly byteLength: number;
}

/** The tensors of one component, opened for reading. */
export interface TensorStore extends AsyncDisposable {
  /** for messages: the file or index that was opened */
  readonly path: string;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /** `__metadata__` of the first file; texts that nobody has checked */
  readonly metadata: ReadonlyMap<string, string>;
  /**
   * Bytes `begin`–`end` of a tensor.
   *
   * @throws {CheckpointError} when the file has become shorter
   */
  read(name: string, begin: number, end: number): Promise<Uint8Array>;
}

const DTYPE_BYTES = { F32: 4, F16: 2, BF16: 2, I8: 1, U8: 1, I64: 8 } as const;

/** The format's own limit; T5-XXL's header has 25 kB. */
export const HEADER_BYTES_MAX = 100_000_000;
export const INDEX_BYTES_MAX = 16 * 2 ** 20;
export const TENSOR_COUNT_MAX = 100_000;
export const RANK_MAX = 8;
const PREFIX_BYTES = 8;

const entrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(z.int().min(0)).max(RANK_MAX),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});

const metadataSchema = z.record(z.string(), z.string());

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

interface PlacedEntry extends TensorEntry {
  /** offsets into the file */
  readonly begin: number;
  readonly end: number;
}

/**
 * Opens `path`, or the shards that `indexPath` lists when that file exists.
 *
 * @throws {CheckpointError} when neither exists or a header is malformed
 */
export async function openSafetensors(path: string, indexPath?: string): Promise<TensorStore> {
  if (indexPath !== undefined && (await exists(indexPath))) return await openSharded(indexPath);
  if (!(await exists(path))) throw new CheckpointError(`${path} does not exist`);
  return storeOf(path, [await openFile(path)]);
}

async function openSharded(indexPath: string): Promise<TensorStore> {
  const weightMap = await readIndex(indexPath);
  const files: OpenFile[] = [];
  try {
    for (const fileName of new Set(weightMap.values())) {
      if (basename(fileName) !== fileName || fileName.startsWith('.')) {
        throw new CheckpointError(`${indexPath}: ${JSON.stringify(fileName)} is not a file name`);
      }
      const path = join(dirname(indexPath), fileName);
      if (!(await exists(path))) throw new CheckpointError(`${indexPath}: ${fileName} is missing`);
      files.push(await openFile(path));
    }
    for (const [name, fileName] of weightMap) {
      const file = files.find(({ path }) => basename(path) === fileName);
      if (file?.entries.has(name) !== true) {
        throw new CheckpointError(`${indexPath}: tensor ${name} is not in ${fileName}`);
      }
    }
    for (const { path, entries } of files) {
      for (const name of entries.keys()) {
        if (weightMap.get(name) !== basename(path)) {
          throw new CheckpointError(
            `${path}: tensor ${name} is not listed in ${basename(indexPath)}`,
          );
        }
      }
    }
    return storeOf(indexPath, files);
  } catch (error) {
    await closeAll(files);
    throw error;
  }
}

async function readIndex(indexPath: string): Promise<Map<string, string>> {
  const { size } = await stat(indexPath);
  if (size > INDEX_BYTES_MAX) {
    throw new CheckpointError(`${indexPath}: ${size} bytes, limit ${INDEX_BYTES_MAX}`);
  }
  const parsed = indexSchema.safeParse(parseJson(await readFile(indexPath, 'utf8'), indexPath));
  if (!parsed.success) {
    throw new CheckpointError(`${indexPath}: no weight_map of tensor names to file names`);
  }
  return new Map(Object.entries(parsed.data.weight_map));
}

interface OpenFile {
  readonly path: string;
  readonly handle: FileHandle;
  readonly entries: ReadonlyMap<string, PlacedEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

async function openFile(path: string): Promise<OpenFile> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    return { path, handle, ...(await readHeader(handle, path, size)) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function readHeader(
  handle: FileHandle,
  path: string,
  fileBytes: number,
): Promise<Pick<OpenFile, 'entries' | 'metadata'>> {
  if (fileBytes < PREFIX_BYTES) {
    throw new CheckpointError(`${path}: ${fileBytes} bytes are no safetensors file`);
  }
  const prefix = await readExactly(handle, path, 0, PREFIX_BYTES);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > BigInt(HEADER_BYTES_MAX) || Number(length) > fileBytes - PREFIX_BYTES) {
    throw new CheckpointError(
      `${path}: header of ${length} bytes, the file has ${fileBytes} and the limit is ${HEADER_BYTES_MAX}`,
    );
  }
  const dataStart = PREFIX_BYTES + Number(length);
  const bytes = await readExactly(handle, path, PREFIX_BYTES, dataStart);
  const header = z
    .record(z.string(), z.unknown())
    .safeParse(parseJson(decodeUtf8(bytes, path), path));
  if (!header.success) throw new CheckpointError(`${path}: the header is not a JSON object`);

  const entries = new Map<string, PlacedEntry>();
  for (const [name, value] of Object.entries(header.data)) {
    if (name === '__metadata__') continue;
    entries.set(name, placeEntry(name, value, { path, dataStart, fileBytes }));
  }
  if (entries.size > TENSOR_COUNT_MAX) {
    throw new CheckpointError(`${path}: ${entries.size} tensors, limit ${TENSOR_COUNT_MAX}`);
  }
  checkCoverage([...entries.values()], { path, dataStart, fileBytes });
  const metadata = metadataSchema.safeParse(header.data.__metadata__ ?? {});
  if (!metadata.success) throw new CheckpointError(`${path}: __metadata__ is no map of texts`);
  return { entries, metadata: new Map(Object.entries(metadata.data)) };
}

interface FileBounds {
  readonly path: string;
  readonly dataStart: number;
  readonly fileBytes: number;
}

function placeEntry(name: string, value: unknown, bounds: FileBounds): PlacedEntry {
  const where = `${bounds.path}: tensor ${name}`;
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new CheckpointError(
      `${where}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? 'malformed'}`,
    );
  }
  const { dtype, shape, data_offsets: offsets } = parsed.data;
  if (!isDtype(dtype)) {
    throw new CheckpointError(
      `${where}: dtype ${dtype} is not one of ${Object.keys(DTYPE_BYTES).join(', ')}`,
    );
  }
  const begin = bounds.dataStart + offsets[0];
  const end = bounds.dataStart + offsets[1];
  const expected = shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
  if (!Number.isSafeInteger(expected) || end - begin !== expected) {
    throw new CheckpointError(
      `${where}: ${dtype} [${shape.join(', ')}] needs ${expected} bytes, its offsets hold ${end - begin}`,
    );
  }
  if (end > bounds.fileBytes) {
    throw new CheckpointError(`${where}: ends at byte ${end}, the file at ${bounds.fileBytes}`);
  }
  return { name, dtype, shape, byteLength: expected, begin, end };
}

/** Tensors follow each other without overlap or hole and end where the file ends, as the format demands. */
function checkCoverage(
  entries: readonly PlacedEntry[],
  { path, dataStart, fileBytes }: FileBounds,
): void {
  const sorted = entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end);
  let end = dataStart;
  for (const entry of sorted) {
    if (entry.begin !== end) {
      const fault = entry.begin < end ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw new CheckpointError(`${path}: tensor ${entry.name}: ${fault} at byte ${entry.begin}`);
    }
    end = entry.end;
  }
  if (end !== fileBytes) {
    throw new CheckpointError(`${path}: ${fileBytes - end} bytes after the last tensor`);
  }
}

function storeOf(path: string, files: readonly OpenFile[]): TensorStore {
  const placed = new Map<string, { file: OpenFile; entry: PlacedEntry }>();
  for (const file of files) {
    for (const [name, entry] of file.entries) placed.set(name, { file, entry });
  }
  const entries = new Map<string, TensorEntry>();
  for (const [name, { entry }] of placed) {
    const { dtype, shape, byteLength } = entry;
    entries.set(name, { name, dtype, shape, byteLength });
  }
  return {
    path,
    entries,
    metadata: files[0]?.metadata ?? new Map(),
    async read(name, begin, end) {
      const found = placed.get(name);
      if (found === undefined) throw new CheckpointError(`${path}: tensor ${name} is missing`);
      const { file, entry } = found;
      if (begin < 0 || end < begin || entry.begin + end > entry.end) {
        throw new RangeError(
          `bytes ${begin}–${end} of ${name}, which has ${entry.end - entry.begin}`,
        );
      }
      return await readExactly(file.handle, file.path, entry.begin + begin, entry.begin + end);
    },
    [Symbol.asyncDispose]: () => closeAll(files),
  };
}

async function closeAll(files: readonly OpenFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close()));
}

async function readExactly(
  handle: FileHandle,
  path: string,
  begin: number,
  end: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - begin);
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, begin + done);
    if (bytesRead === 0) throw new CheckpointError(`${path}: ends at byte ${begin + done}`);
    done += bytesRead;
  }
  return bytes;
}

function isDtype(dtype: string): dtype is SafetensorsDtype {
  return Object.hasOwn(DTYPE_BYTES, dtype);
}

function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CheckpointError(`${path}: the header is not UTF-8`, { cause });
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${path}: malformed JSON`, { cause });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
