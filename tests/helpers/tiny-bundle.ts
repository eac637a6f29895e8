/** A bundle of the tiny checkpoint in a temporary folder, for tests that need the real runtime. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convertCheckpoint } from '../../gpu-fn/convert/convert.ts';
import { writeTinyCheckpoint } from './tiny-checkpoint.ts';

export interface TinyBundle extends AsyncDisposable {
  readonly folder: string;
}

export async function makeTinyBundle(): Promise<TinyBundle> {
  const base = await mkdtemp(join(tmpdir(), 'tiny-bundle-'));
  const folder = join(base, 'bundle');
  await convertCheckpoint({
    checkpoint: writeTinyCheckpoint(join(base, 'checkpoint')),
    out: folder,
  });
  return {
    folder,
    [Symbol.asyncDispose]: () => rm(base, { recursive: true, force: true }),
  };
}
