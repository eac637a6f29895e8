import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadBundle } from '../../../gpu-fn/runtime/bundle.ts';
import { type TemporaryFolder, temporaryFolder } from '../../helpers/temporary-folder.ts';
import { writeTinyCheckpoint } from '../../helpers/tiny-checkpoint.ts';

const MAIN = join(import.meta.dirname, '../../../gpu-fn/convert/main.ts');

let folder: TemporaryFolder;
let checkpoint: string;
beforeAll(() => {
  folder = temporaryFolder();
  checkpoint = writeTinyCheckpoint(`${folder.path}/checkpoint`);
});
afterAll(() => folder[Symbol.asyncDispose]());

async function convert(...flags: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, ...output };
}

// Each test starts a process or two; the limit is for a machine with other work.
describe('npm run convert', { timeout: 240_000 }, () => {
  it('exits with 0 and prints the revision, as text or as one JSON line', async () => {
    const out = `${folder.path}/bundle`;
    const text = await convert('--checkpoint', checkpoint, '--out', out);
    expect(text.code).toBe(0);
    const { revision } = (await loadBundle(out)).manifest;
    expect(text.stdout).toContain(`revision ${revision}`);

    const json = await convert(
      '--checkpoint',
      checkpoint,
      '--out',
      out,
      '--precision',
      'fp32',
      '--json',
    );
    expect(json.code).toBe(0);
    expect(JSON.parse(json.stdout)).toMatchObject({
      out,
      id: 'pixart-edge/tiny',
      precision: 'fp32',
    });
    expect(json.stderr).toBe('');
  });

  it('exits with 2 for wrong usage and shows the options', async () => {
    const missing = await convert('--checkpoint', checkpoint);
    expect(missing.code).toBe(2);
    expect(missing.stderr).toContain("required option '--out <dir>' not specified");
    expect(missing.stderr).toContain('--precision');
    const unknown = await convert('--checkpoint', checkpoint, '--out', 'x', '--target', 'tpu');
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('cpu, cuda');
    expect((await convert('--help')).code).toBe(0);
  });

  it('exits with 1 and one sentence when the conversion fails', async () => {
    const { code, stderr } = await convert(
      '--checkpoint',
      `${folder.path}/none`,
      '--out',
      `${folder.path}/x`,
    );
    expect(code).toBe(1);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain('model_index.json cannot be read');
    const json = await convert(
      '--checkpoint',
      `${folder.path}/none`,
      '--out',
      `${folder.path}/x`,
      '--json',
    );
    expect(JSON.parse(json.stdout)).toHaveProperty('error');
  });

  it('leaves no bundle when it is interrupted', async () => {
    const out = `${folder.path}/interrupted/bundle`;
    const child = spawn(process.execPath, [MAIN, '--checkpoint', checkpoint, '--out', out], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
    // As soon as the partial folder is there, the conversion is under way.
    while (
      !(await readdir(`${folder.path}/interrupted`).catch(() => [])).some((name) =>
        name.includes('partial'),
      )
    ) {
      if (child.exitCode !== null) expect.fail(`it ended by itself: ${stderr}`);
    }
    child.kill('SIGINT');
    const [code] = await closed;
    expect(code).toBe(1);
    expect(stderr).toContain('interrupted');
    expect(await readdir(`${folder.path}/interrupted`)).toEqual([]);
  });
});
