/**
 * Downloads files of hub repositories: resumed where they were cut off, checked against the digests that the hub lists.
 *
 * A file is written beside its place as `….part` and renamed when its digest is right, so what is there is whole.
 */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, normalize } from 'node:path';
import { downloadFile, listFiles } from '@huggingface/hub';
import { isWanted, type Source } from './catalogue.ts';

export interface HubOptions {
  /** Default the public hub. */
  readonly hubUrl?: string | undefined;
  readonly accessToken?: string | undefined;
  /** branch, tag or commit. Default `main` */
  readonly revision?: string | undefined;
}

export interface PullOptions extends HubOptions {
  readonly source: Source;
  /** folder that the files go into, under their names in the repository */
  readonly folder: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
}

export interface PullProgress {
  readonly path: string;
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

/** How the hub names the content of a file: SHA-256 of large ones, Git's blob id of the others. */
export interface Digest {
  readonly algorithm: 'sha256' | 'git-sha1';
  readonly hex: string;
}

export interface PulledFile {
  readonly path: string;
  readonly bytes: number;
  readonly digest: Digest;
}

/** The hub does not have what was asked for, or sent something else. The message is for the user. */
export class PullError extends Error {
  override readonly name = 'PullError';
}

const FILES_MAX = 10_000;
const PATH_PATTERN = /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/;

/**
 * @returns the files of the source, all of them in place
 * @throws {PullError} when nothing of the source is there, or a file is not what the hub lists
 */
export async function pullFiles(options: PullOptions): Promise<PulledFile[]> {
  const { source, folder, signal, onProgress } = options;
  const files = await listWanted(options);
  const bytesTotal = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let bytesDone = 0;
  for (const file of files) {
    signal?.throwIfAborted();
    const to = join(folder, file.path);
    const report = (bytes: number) => {
      bytesDone += bytes;
      onProgress?.({ path: file.path, bytesDone, bytesTotal });
    };
    if (await isWhole(to, file, signal)) report(file.bytes);
    else await pullFile(file, { ...options, to, report, repo: source.repo });
  }
  return files;
}

async function listWanted({ source, hubUrl, accessToken, revision, signal }: PullOptions) {
  const files: PulledFile[] = [];
  const entries = listFiles({
    repo: source.repo,
    recursive: true,
    fetch: abortable(signal),
    ...(hubUrl !== undefined && { hubUrl }),
    ...(accessToken !== undefined && { accessToken }),
    ...(revision !== undefined && { revision }),
  });
  for await (const { type, path, size, oid, lfs } of entries) {
    if (type !== 'file' || !isWanted(path, source)) continue;
    if (!PATH_PATTERN.test(path) || isAbsolute(path) || normalize(path).startsWith('..')) {
      throw new PullError(
        `${source.repo}: ${JSON.stringify(path.slice(0, 80))} is no path of a checkpoint`,
      );
    }
    if (files.length === FILES_MAX)
      throw new PullError(`${source.repo}: more than ${FILES_MAX} files`);
    const digest: Digest =
      lfs === undefined
        ? { algorithm: 'git-sha1', hex: oid ?? '' }
        : { algorithm: 'sha256', hex: lfs.oid };
    files.push({ path, bytes: lfs?.size ?? size, digest });
  }
  for (const wanted of source.paths) {
    const there = files.some(({ path }) =>
      wanted.endsWith('/') ? path.startsWith(wanted) : path === wanted,
    );
    if (!there) throw new PullError(`${source.repo} has no ${wanted}`);
  }
  return files;
}

interface PullFileOptions extends HubOptions {
  readonly repo: string;
  readonly to: string;
  readonly signal?: AbortSignal | undefined;
  readonly report: (bytes: number) => void;
}

async function pullFile(file: PulledFile, options: PullFileOptions): Promise<void> {
  const { repo, to, hubUrl, accessToken, revision, signal, report } = options;
  const part = `${to}.part`;
  await mkdir(dirname(to), { recursive: true });
  const held = Math.min(Math.max(await sizeOf(part), 0), file.bytes);
  const hash = startHash(file);
  await hashFile(part, hash, held, signal);
  report(held);
  if (held < file.bytes) {
    const blob = await downloadFile({
      repo,
      path: file.path,
      fetch: abortable(signal),
      ...(hubUrl !== undefined && { hubUrl }),
      ...(accessToken !== undefined && { accessToken }),
      ...(revision !== undefined && { revision }),
    });
    if (blob === null) throw new PullError(`${repo}: ${file.path} is not there any more`);
    if (blob.size !== file.bytes) {
      throw new PullError(
        `${repo}: ${file.path} has ${blob.size} bytes, the hub lists ${file.bytes}`,
      );
    }
    await using handle = await open(part, held > 0 ? 'r+' : 'w');
    let at = held;
    for await (const chunk of blob.slice(held).stream()) {
      signal?.throwIfAborted();
      if (at + chunk.length > file.bytes) throw new PullError(`${repo}: ${file.path} does not end`);
      hash.update(chunk);
      await handle.write(chunk, 0, chunk.length, at);
      at += chunk.length;
      report(chunk.length);
    }
    if (at < file.bytes) {
      throw new PullError(
        `${repo}: ${file.path} broke off after ${at} of ${file.bytes} bytes; pull again to go on`,
      );
    }
  }
  const hex = hash.digest('hex');
  if (hex !== file.digest.hex) {
    await rm(part, { force: true });
    throw new PullError(
      `${repo}: ${file.path} has digest ${hex}, the hub lists ${file.digest.hex}`,
    );
  }
  await rename(part, to);
}

/** Whether a file is there with the bytes that the hub lists. */
export async function isWhole(
  path: string,
  file: PulledFile,
  signal?: AbortSignal | undefined,
): Promise<boolean> {
  if ((await sizeOf(path)) !== file.bytes) return false;
  const hash = startHash(file);
  await hashFile(path, hash, file.bytes, signal);
  return hash.digest('hex') === file.digest.hex;
}

function startHash({ digest, bytes }: PulledFile): Hash {
  if (digest.algorithm === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${bytes}\0`);
}

async function hashFile(
  path: string,
  hash: Hash,
  bytes: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (bytes === 0) return;
  for await (const chunk of createReadStream(path, { end: bytes - 1, highWaterMark: 1 << 20 })) {
    signal?.throwIfAborted();
    hash.update(chunk as Buffer);
  }
}

/** −1 when there is no such file. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return -1;
    throw error;
  }
}

/** The client takes no signal, but takes a fetch. */
function abortable(signal: AbortSignal | undefined): typeof fetch {
  if (signal === undefined) return fetch;
  return (input, init) => fetch(input, { ...init, signal });
}
