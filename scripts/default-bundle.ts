/**
 * The bundle that the commands use when none is named: the shipped checkpoint, converted once and kept.
 *
 * The folder carries a digest of the checkpoint's files and of the converter, so that a change of either converts again.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { ROOT } from './node-runtime.js';

/** The model in the tree. */
export const DEFAULT_CHECKPOINT = path.join(ROOT, 'models/stickers-nano');
/** Sources that decide what a bundle looks like. */
const CONVERTER = [
  'gpu-fn/convert',
  'gpu-fn/safetensors',
  'gpu-fn/tokenizer',
  'gpu-fn/runtime/manifest.ts',
  'shared/schemas/model.ts',
];
/** Output of a converter that fails is shown up to here. */
const OUTPUT_LENGTH_MAX = 4000;

export interface EnsureBundleOptions {
  /** Diffusers folder. Default: the shipped one. */
  readonly checkpoint?: string;
  /** Folder that holds bundles, created if missing. */
  readonly bundles: string;
  /** Called before a conversion begins. */
  readonly onConvert?: () => void;
  readonly signal?: AbortSignal;
}

/** A checkpoint is missing or the converter refused it; the message is for the user. */
export class BundleError extends Error {
  override readonly name = 'BundleError';
}

/**
 * @returns folder of a bundle that is complete
 * @throws {BundleError}
 */
export async function ensureBundle({
  checkpoint = DEFAULT_CHECKPOINT,
  bundles,
  onConvert,
  signal,
}: EnsureBundleOptions): Promise<string> {
  if (!existsSync(path.join(checkpoint, 'model_index.json'))) {
    throw new BundleError(`${checkpoint} is not a model: it has no model_index.json.`);
  }
  const name = path.basename(path.resolve(checkpoint));
  const folder = path.join(bundles, `${name}-${(await digestOf(checkpoint)).slice(0, 16)}`);
  // The converter renames its work into place at the end: what has a manifest is whole.
  if (existsSync(path.join(folder, 'manifest.json'))) return folder;

  onConvert?.();
  await mkdir(bundles, { recursive: true });
  await convert(checkpoint, folder, signal);
  await removeOlder(bundles, name, path.basename(folder));
  return folder;
}

/** SHA-256 over the names and bytes of the checkpoint's and the converter's files. */
async function digestOf(checkpoint: string): Promise<string> {
  const files = await listFiles(checkpoint);
  for (const source of CONVERTER) files.push(...(await listFiles(path.join(ROOT, source))));
  const hash = createHash('sha256');
  for (const file of files) {
    const base = file.startsWith(checkpoint) ? checkpoint : ROOT;
    const bytes = await readFile(file);
    hash.update(`${path.relative(base, file)}\n${bytes.length}\n`).update(bytes);
  }
  return hash.digest('hex');
}

/** Files below a folder, or the file itself, in the order of their names. */
async function listFiles(at: string): Promise<string[]> {
  const entries = await readdir(at, { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOTDIR') return undefined;
      throw error;
    },
  );
  if (entries === undefined) return [at];
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
}

/** In a process of its own: its memory is given back, and it can be stopped. */
function convert(checkpoint: string, out: string, signal?: AbortSignal): Promise<void> {
  const main = path.join(ROOT, 'gpu-fn/convert/main.ts');
  const child = spawn(process.execPath, [main, '--checkpoint', checkpoint, '--out', out], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(signal && { signal }),
  });
  let output = '';
  const collect = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-OUTPUT_LENGTH_MAX);
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new BundleError(`${checkpoint} cannot be converted.\n${output.trim()}`));
    });
  });
}

/** What the same checkpoint was converted to before it, or the converter, changed. */
async function removeOlder(bundles: string, name: string, keep: string): Promise<void> {
  for (const entry of await readdir(bundles)) {
    const isOurs =
      entry.startsWith(`${name}-`) && /^[0-9a-f]{16}$/.test(entry.slice(name.length + 1));
    if (isOurs && entry !== keep) {
      await rm(path.join(bundles, entry), { recursive: true, force: true });
    }
  }
}
