/**
 * The adapters of one model: those of its bundle and those of a folder where operators and uploads put theirs.
 *
 * ```text
 * <folder>/<id>.safetensors
 * <folder>/<id>/adapter_model.safetensors  and  adapter_config.json, as PEFT writes them
 * ```
 *
 * Files are read at their first use and again when they change; the most recently used stay in memory.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ServiceError } from '#shared/errors.ts';
import { ADAPTER_ID_PATTERN } from '#shared/schemas/model.ts';
import type { Bundle } from '../runtime/bundle.ts';
import { CheckpointError } from '../safetensors/errors.ts';
import { openSafetensors } from '../safetensors/safetensors.ts';
import { adaptableModules, type ModuleShapes } from './adaptable-modules.ts';
import { type LoraLayers, parseAdapterConfig, readAdapter } from './read-adapter.ts';

export interface Adapter {
  readonly id: string;
  /** changes whenever the file does */
  readonly version: string;
  readonly layers: LoraLayers;
  readonly bytes: number;
}

export interface AdapterStoreOptions {
  readonly bundle: Bundle;
  /** absent: only the adapters of the bundle */
  readonly folder?: string | undefined;
  /** of adapters kept ready; the one in use is never counted out */
  readonly memoryBytesMax?: number;
}

/** Two LCM-LoRAs of the 1024 model with room to spare. */
export const ADAPTER_MEMORY_BYTES = 256 * 2 ** 20;
/** A file; rank 128 on every layer of the 1024 model in float32 has 440 MB. */
export const ADAPTER_FILE_BYTES_MAX = 512 * 2 ** 20;
const CONFIG_BYTES_MAX = 1 << 20;

interface Place {
  readonly weights: string;
  readonly config?: string;
}

export class AdapterStore {
  readonly modules: ModuleShapes;
  readonly #bundle: Bundle;
  readonly #folder: string | undefined;
  readonly #memoryBytesMax: number;
  /** most recently used last */
  readonly #ready = new Map<string, Adapter>();

  constructor({ bundle, folder, memoryBytesMax = ADAPTER_MEMORY_BYTES }: AdapterStoreOptions) {
    this.#bundle = bundle;
    this.#folder = folder;
    this.#memoryBytesMax = memoryBytesMax;
    this.modules = adaptableModules(bundle.manifest);
  }

  /** Names of all adapters that can be asked for, sorted. */
  async list(): Promise<string[]> {
    const ids = new Set(Object.keys(this.#bundle.manifest.adapters ?? {}));
    const names = this.#folder === undefined ? [] : await readFolder(this.#folder);
    for (const name of names) {
      const id = name.replace(/\.safetensors$/, '');
      if (ADAPTER_ID_PATTERN.test(id)) ids.add(id);
    }
    return [...ids].sort();
  }

  /**
   * @throws {ServiceError} `adapter_not_found`, or `adapter_invalid` when its file does not fit the model
   */
  async get(id: string): Promise<Adapter> {
    const place = ADAPTER_ID_PATTERN.test(id) ? await this.#find(id) : undefined;
    if (place === undefined) {
      throw new ServiceError('adapter_not_found', {
        detail: `There is no adapter ${JSON.stringify(id)}.`,
        param: 'loras',
      });
    }
    const { size, mtimeMs } = await stat(place.weights);
    const version = `${size}-${mtimeMs}`;
    const known = this.#ready.get(id);
    if (known?.version === version) {
      this.#ready.delete(id);
      this.#ready.set(id, known);
      return known;
    }
    if (size > ADAPTER_FILE_BYTES_MAX) {
      throw new ServiceError('adapter_invalid', {
        detail: `the file has ${size} bytes, the limit is ${ADAPTER_FILE_BYTES_MAX}`,
        param: 'loras',
      });
    }
    const layers = await this.#read(place);
    const bytes = [...layers.values()].reduce(
      (sum, { a, b }) => sum + a.byteLength + b.byteLength,
      0,
    );
    const adapter = { id, version, layers, bytes };
    this.#ready.delete(id);
    this.#ready.set(id, adapter);
    this.#release();
    return adapter;
  }

  async #find(id: string): Promise<Place | undefined> {
    const own = this.#bundle.manifest.adapters?.[id];
    if (own !== undefined) return { weights: join(this.#bundle.folder, own) };
    if (this.#folder === undefined) return undefined;
    const file = join(this.#folder, `${id}.safetensors`);
    if (await isFile(file)) return { weights: file };
    const weights = join(this.#folder, id, 'adapter_model.safetensors');
    if (!(await isFile(weights))) return undefined;
    const config = join(this.#folder, id, 'adapter_config.json');
    return { weights, ...((await isFile(config)) && { config }) };
  }

  async #read({ weights, config }: Place): Promise<LoraLayers> {
    try {
      await using file = await openSafetensors(weights);
      return config === undefined
        ? await readAdapter(file, this.modules)
        : await readAdapter(file, this.modules, parseAdapterConfig(await readJson(config)));
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      const detail = error.message.replace(`${weights}: `, '').replace(weights, 'the file');
      throw new ServiceError('adapter_invalid', { detail, message: error.message, param: 'loras' });
    }
  }

  #release(): void {
    let total = [...this.#ready.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    for (const [id, { bytes }] of this.#ready) {
      if (total <= this.#memoryBytesMax || this.#ready.size === 1) return;
      this.#ready.delete(id);
      total -= bytes;
    }
  }
}

async function readFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

async function readJson(path: string): Promise<unknown> {
  const { size } = await stat(path);
  const refuse = (detail: string) =>
    new ServiceError('adapter_invalid', { detail, param: 'loras' });
  if (size > CONFIG_BYTES_MAX) throw refuse(`adapter_config.json has ${size} bytes`);
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw refuse('adapter_config.json is malformed JSON');
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ENOENT' || error.code === 'ENOTDIR')
  );
}
