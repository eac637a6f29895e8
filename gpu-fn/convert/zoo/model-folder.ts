/**
 * The folder where pulled checkpoints, adapters and converted bundles lie.
 *
 * ```text
 * <folder>/checkpoints/<owner>--<name>/   diffusers layout, and pulled.json: what the hub listed
 * <folder>/bundles/<owner>--<name>/       manifest.json and graphs
 * <folder>/adapters/<name>/               PEFT folder, for ADAPTERS
 * ```
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { MODEL_NAME_PATTERN } from '#shared/schemas/model.ts';
import { BundleError, loadBundle } from '../../runtime/bundle.ts';
import { type ConvertProgress, convertCheckpoint } from '../convert.ts';
import { convertPth } from '../pth/convert-pth.ts';
import { CATALOGUE, type CatalogueEntry, findEntry } from './catalogue.ts';
import {
  type HubOptions,
  isWhole,
  PullError,
  type PulledFile,
  type PullProgress,
  pullFiles,
} from './pull.ts';

const pulledSchema = z.object({
  id: z.string(),
  files: z.array(
    z.object({
      path: z.string(),
      bytes: z.int().min(0),
      digest: z.object({ algorithm: z.enum(['sha256', 'git-sha1']), hex: z.string() }),
    }),
  ),
});

const PULLED = 'pulled.json';

export interface ModelState {
  readonly id: string;
  readonly description: string;
  readonly pulled: boolean;
  /** bytes of the bundle; undefined when there is none */
  readonly bundleBytes?: number;
}

export interface FolderProgress {
  readonly onPull?: ((progress: PullProgress) => void) | undefined;
  readonly onConvert?: ((progress: ConvertProgress) => void) | undefined;
}

export interface ConvertChoice {
  readonly target?: 'cpu' | 'cuda';
  readonly precision?: 'int8' | 'fp16' | 'fp32';
}

export class ModelFolder {
  readonly #folder: string;
  readonly #catalogue: readonly CatalogueEntry[];

  constructor(folder: string, catalogue: readonly CatalogueEntry[] = CATALOGUE) {
    this.#folder = folder;
    this.#catalogue = catalogue;
  }

  /** Every published checkpoint, and every other bundle that is there. */
  async list(): Promise<ModelState[]> {
    const states: ModelState[] = [];
    for (const { id, description, kind } of this.#catalogue) {
      const pulled = await isThere(join(this.#home(id, kind), PULLED));
      states.push({ id, description, pulled, ...(await this.#bundle(id)) });
    }
    const known = new Set(this.#catalogue.map(({ id }) => nameOf(id)));
    for (const name of await namesIn(join(this.#folder, 'bundles'))) {
      if (known.has(name) || name.includes('.partial-')) continue;
      const id = name.replace('--', '/');
      states.push({
        id,
        description: 'converted here',
        pulled: false,
        ...(await this.#bundle(id)),
      });
    }
    return states;
  }

  /**
   * Downloads what is missing of a published checkpoint; files that are whole are left.
   *
   * @throws {PullError}
   */
  async pull(
    id: string,
    { onPull, signal, ...hub }: HubOptions & FolderProgress & { signal?: AbortSignal | undefined },
  ): Promise<string> {
    const entry = this.#entry(id);
    const home = this.#home(id, entry.kind);
    await mkdir(home, { recursive: true });
    const files: PulledFile[] = [];
    for (const source of entry.sources) {
      files.push(
        ...(await pullFiles({ ...hub, source, folder: home, signal, onProgress: onPull })),
      );
    }
    const edge = { id: entry.id, license: entry.license, ...entry.edge };
    if (entry.kind !== 'adapter') await writeWhole(join(home, 'pixart-edge.json'), edge);
    await writeWhole(join(home, PULLED), { id, files });
    return home;
  }

  /**
   * Converts a pulled checkpoint; files of the original code become folders first.
   *
   * @returns the folder of the bundle
   */
  async convert(
    id: string,
    {
      onConvert,
      signal,
      ...choice
    }: ConvertChoice & FolderProgress & { signal?: AbortSignal | undefined },
  ): Promise<string> {
    const entry = this.#entry(id);
    if (entry.kind === 'adapter') {
      throw new PullError(
        `${id} is an adapter: it is used as it is, ADAPTERS=${join(this.#folder, 'adapters')}`,
      );
    }
    const checkpoint = this.#home(id, entry.kind);
    if (!(await isThere(join(checkpoint, PULLED)))) {
      throw new PullError(`${id} is not here; pull it first`);
    }
    if (entry.kind === 'pth') await this.#unpack(checkpoint, signal);
    const out = this.#bundleFolder(id);
    await convertCheckpoint({ checkpoint, out, id, ...choice, signal, onProgress: onConvert });
    return out;
  }

  /** Deletes checkpoint, bundle and adapter of one id; whether anything was there. */
  async remove(id: string): Promise<boolean> {
    checkId(id);
    let found = false;
    for (const folder of [
      this.#home(id, 'pipeline'),
      this.#home(id, 'adapter'),
      this.#bundleFolder(id),
    ]) {
      if (!(await isThere(folder))) continue;
      await rm(folder, { recursive: true });
      found = true;
    }
    return found;
  }

  /** Compares every file of one id with its digest; the faults, none when all is well. */
  async verify(id: string, signal?: AbortSignal | undefined): Promise<string[]> {
    checkId(id);
    const faults: string[] = [];
    let found = false;
    const kind = findIn(this.#catalogue, id)?.kind ?? 'pipeline';
    const home = this.#home(id, kind);
    if (await isThere(join(home, PULLED))) {
      found = true;
      const pulled = pulledSchema.parse(JSON.parse(await readFile(join(home, PULLED), 'utf8')));
      for (const file of pulled.files) {
        if (!(await isWhole(join(home, file.path), file, signal)))
          faults.push(`${file.path} differs`);
      }
    }
    const bundle = this.#bundleFolder(id);
    if (await isThere(bundle)) {
      found = true;
      try {
        await loadBundle(bundle, signal ? { signal } : {});
      } catch (error) {
        if (!(error instanceof BundleError)) throw error;
        faults.push(error.message.replace(`${bundle}/`, ''));
      }
    }
    if (!found) throw new PullError(`${id} is not here`);
    return faults;
  }

  /** `.pth` files lie beside the folders that they become; what is there already is left. */
  async #unpack(checkpoint: string, signal: AbortSignal | undefined): Promise<void> {
    for (const name of await namesIn(checkpoint)) {
      if (!name.endsWith('.pth')) continue;
      const made = name === 'ControlNetHED.pth' ? 'edge_detector' : 'transformer';
      if (await isThere(join(checkpoint, made))) continue;
      await convertPth({ pth: join(checkpoint, name), out: checkpoint, signal });
    }
  }

  #entry(id: string): CatalogueEntry {
    checkId(id);
    const entry = findIn(this.#catalogue, id);
    if (entry === undefined) {
      throw new PullError(
        `${id} is not published; known are ${this.#catalogue.map((e) => e.id).join(', ')}`,
      );
    }
    return entry;
  }

  #home(id: string, kind: CatalogueEntry['kind']): string {
    if (kind !== 'adapter') return join(this.#folder, 'checkpoints', nameOf(id));
    return join(this.#folder, 'adapters', id.slice(id.lastIndexOf('/') + 1));
  }

  #bundleFolder(id: string): string {
    return join(this.#folder, 'bundles', nameOf(id));
  }

  async #bundle(id: string): Promise<{ bundleBytes?: number }> {
    try {
      const { manifest } = await loadBundle(this.#bundleFolder(id), { verify: false });
      return {
        bundleBytes: Object.values(manifest.files).reduce((sum, { bytes }) => sum + bytes, 0),
      };
    } catch (error) {
      if (error instanceof BundleError) return {};
      throw error;
    }
  }
}

function findIn(catalogue: readonly CatalogueEntry[], id: string): CatalogueEntry | undefined {
  return catalogue === CATALOGUE ? findEntry(id) : catalogue.find((entry) => entry.id === id);
}

/** Names become folders, so nothing but names may pass. */
function checkId(id: string): void {
  if (!MODEL_NAME_PATTERN.test(id) || id.split('/').some((part) => /^\.+$/.test(part))) {
    throw new PullError(`${JSON.stringify(id.slice(0, 80))} is no name of a model`);
  }
}

function nameOf(id: string): string {
  return id.replace('/', '--');
}

async function writeWhole(path: string, value: unknown): Promise<void> {
  await writeFile(`${path}.part`, `${JSON.stringify(value, null, 2)}\n`);
  await rename(`${path}.part`, path);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
