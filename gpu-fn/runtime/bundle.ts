/**
 * A converted model on disk: one folder of graphs, weights, tokenizer and `manifest.json`.
 *
 * Nothing of a bundle is used before its manifest has been checked and, unless the caller waives it, every file's
 * size and SHA-256 compared with the manifest.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type GraphName,
  MANIFEST_FILE,
  type Manifest,
  manifestSchema,
  revisionOf,
} from './manifest.ts';

export interface Bundle {
  readonly folder: string;
  readonly manifest: Manifest;
  /** @throws {BundleError} when the bundle has no such graph */
  graphPath(name: GraphName): string;
  hasGraph(name: GraphName): boolean;
  readonly tokenizerPath: string;
}

export interface LoadBundleOptions {
  /** Compare every file with its digest; default true. Takes about a second per 2 GB. */
  readonly verify?: boolean;
  readonly signal?: AbortSignal;
}

/** A bundle that must not be used; the message names the file. */
export class BundleError extends Error {
  override readonly name = 'BundleError';
}

/** A manifest holds configuration and file digests only. */
const MANIFEST_BYTES_MAX = 4 * 2 ** 20;

/**
 * @throws {BundleError} when the folder holds no valid bundle, or a file differs from its digest
 */
export async function loadBundle(
  folder: string,
  { verify = true, signal }: LoadBundleOptions = {},
): Promise<Bundle> {
  const manifest = await readManifest(folder);
  checkReferences(folder, manifest);
  for (const [name, { bytes, sha256 }] of Object.entries(manifest.files)) {
    await checkFile(join(folder, name), { bytes, sha256: verify ? sha256 : undefined, signal });
  }
  return {
    folder,
    manifest,
    tokenizerPath: join(folder, manifest.tokenizer),
    hasGraph: (name) => manifest.graphs[name] !== undefined,
    graphPath(name) {
      const graph = manifest.graphs[name];
      if (graph === undefined) throw new BundleError(`${folder}: the bundle has no graph ${name}`);
      return join(folder, graph.model);
    },
  };
}

async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, MANIFEST_FILE);
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > MANIFEST_BYTES_MAX) {
      throw new BundleError(`${path}: ${size} bytes, limit ${MANIFEST_BYTES_MAX}`);
    }
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof BundleError) throw cause;
    throw new BundleError(`${path} cannot be read: ${folder} is no bundle`, { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BundleError(`${path}: malformed JSON`, { cause });
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new BundleError(`${path}: ${issues.join('; ')}`);
  }
  const revision = revisionOf(parsed.data);
  if (parsed.data.revision !== revision || parsed.data.info.revision !== revision) {
    throw new BundleError(
      `${path}: the revision does not match the content, which gives ${revision}`,
    );
  }
  return parsed.data;
}

/** Every file that the manifest names is one that it digests. */
function checkReferences(folder: string, manifest: Manifest): void {
  const named = [
    manifest.tokenizer,
    ...Object.values(manifest.adapters ?? {}),
    ...Object.values(manifest.graphs).flatMap(({ model, data }) =>
      data === undefined ? [model] : [model, data],
    ),
  ];
  for (const name of named) {
    if (!Object.hasOwn(manifest.files, name)) {
      throw new BundleError(`${join(folder, MANIFEST_FILE)}: ${name} has no digest`);
    }
  }
}

async function checkFile(
  path: string,
  expected: { bytes: number; sha256: string | undefined; signal: AbortSignal | undefined },
): Promise<void> {
  let bytes: number;
  try {
    bytes = (await stat(path)).size;
  } catch (cause) {
    throw new BundleError(`${path} cannot be read`, { cause });
  }
  if (bytes !== expected.bytes) {
    throw new BundleError(`${path}: ${bytes} bytes, the manifest says ${expected.bytes}`);
  }
  if (expected.sha256 === undefined) return;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    expected.signal?.throwIfAborted();
    hash.update(chunk as Buffer);
  }
  const digest = hash.digest('hex');
  if (digest !== expected.sha256) {
    throw new BundleError(`${path}: SHA-256 ${digest}, the manifest says ${expected.sha256}`);
  }
}

/** Whether a folder looks like a bundle: for messages and clean-up, not for trust. */
export async function looksLikeBundle(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).includes(MANIFEST_FILE);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
