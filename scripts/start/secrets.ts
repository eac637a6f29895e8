/** The secrets of a local service, made on first start and kept in files that only their owner can read. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createApiKey, parseApiKey } from '#shared/api-key.ts';
import { sha256Hex } from '#shared/hex.ts';

const OWNER_ONLY = 0o600;

export interface LocalApiKey {
  readonly key: string;
  readonly id: string;
  readonly sha256: string;
}

/** The key for this machine: `{localDir}/api-key`. A file that holds no key is replaced. */
export async function ensureApiKey(localDir: string): Promise<LocalApiKey> {
  const file = path.join(localDir, 'api-key');
  const kept = await readSecret(file);
  const parsed = kept === undefined ? undefined : parseApiKey(kept);
  if (kept !== undefined && parsed !== undefined) {
    return { key: kept, id: parsed.id, sha256: await sha256Hex(kept) };
  }
  const made = await createApiKey();
  await writeSecret(file, made.key);
  return made;
}

/**
 * What the Worker signs with, in a file of that name: `signing-key` its requests to the function, `url-signing-key` the URLs of
 * private pictures.
 */
export async function ensureSigningKey(
  localDir: string,
  name: 'signing-key' | 'url-signing-key' = 'signing-key',
): Promise<string> {
  const file = path.join(localDir, name);
  const kept = await readSecret(file);
  if (kept !== undefined && /^local:[0-9a-f]{64}$/.test(kept)) return kept;
  const made = `local:${randomBytes(32).toString('hex')}`;
  await writeSecret(file, made);
  return made;
}

async function readSecret(file: string): Promise<string | undefined> {
  try {
    const text = (await readFile(file, 'utf8')).trim();
    // A copy or a careless chmod may have opened it.
    await chmod(file, OWNER_ONLY);
    return text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
}

async function writeSecret(file: string, secret: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, `${secret}\n`, { mode: OWNER_ONLY });
  await chmod(file, OWNER_ONLY);
}
