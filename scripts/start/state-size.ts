/**
 * The state on disk, for the bound on it: how large it is, and what of it nobody needs any more.
 *
 * Knows the folders that Miniflare makes; pictures are deleted through the bucket, not here.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';

/** `stat` counts blocks of this size, whatever the file system's own is. */
const BLOCK_BYTES = 512;
/** Jobs forget their events after ten minutes; what is left then is a file without content. */
const JOB_AGE_MS = 3_600_000;

/** @returns bytes that the files below `folder` take on the disk; 0 when there is none */
export async function measureFolder(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await listEntries(folder, { recursive: true })) {
    if (!entry.isFile()) continue;
    const stats = await statIfThere(path.join(entry.parentPath, entry.name));
    bytes += (stats?.blocks ?? 0) * BLOCK_BYTES;
  }
  return bytes;
}

/**
 * Deletes the files of jobs that ended long ago. Objects are dropped from memory after ten seconds, so none of these is open.
 *
 * @returns how many there were
 */
export async function removeEndedJobs(stateDir: string, nowMs: number): Promise<number> {
  let removed = 0;
  for (const entry of await listEntries(path.join(stateDir, 'do/pixart-edge-Job'))) {
    const file = path.join(entry.parentPath, entry.name);
    const stats = await statIfThere(file);
    if (!/\.sqlite(?:-wal|-shm)?$/.test(entry.name) || stats === undefined) continue;
    if (nowMs - stats.mtimeMs > JOB_AGE_MS) {
      await rm(file, { force: true });
      removed += 1;
    }
  }
  return removed;
}

async function listEntries(folder: string, { recursive = false } = {}) {
  try {
    return await readdir(folder, { recursive, withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return [];
  }
}

/** Files come and go while a database works. */
async function statIfThere(file: string) {
  try {
    return await stat(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
}
