/** Bytes of a folder, for the bound on what the service keeps on disk. */
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';

/** @returns bytes of all files below `folder`; 0 when there is none */
export async function measureFolder(folder: string): Promise<number> {
  let entries: Awaited<ReturnType<typeof list>>;
  try {
    entries = await list(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return 0;
  }
  let bytes = 0;
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    try {
      bytes += (await stat(path.join(entry.parentPath, entry.name))).size;
    } catch (error) {
      // Files come and go while a database works.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return bytes;
}

function list(folder: string) {
  return readdir(folder, { recursive: true, withFileTypes: true });
}
