import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../gpu-fn/convert/convert.ts';
import { writeTinyCheckpoint } from '../helpers/tiny-checkpoint.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/generate.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'pixart-edge-generate-'));
const model = join(folder, 'bundle');

beforeAll(async () => {
  const checkpoint = writeTinyCheckpoint(join(folder, 'checkpoint'));
  await convertCheckpoint({ checkpoint, out: model });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(...args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [SCRIPT, ...args], { cwd: folder }, (error, stdout, stderr) => {
      const code = error === null ? 0 : Number(error.code);
      resolve({ code, stdout, stderr });
    });
  });
}

describe('generate', () => {
  it('generate draws a picture into the file, tells of it on stdout and of its steps on stderr', async () => {
    const { code, stdout, stderr } = await run(
      'a red cat',
      ...['--out', 'cat.png', '--seed', '5', '--steps', '2', '--model', model],
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'step 1 of 2\nstep 2 of 2\n' });
    expect(stdout).toMatch(/^cat\.png: 64x64, seed 5, 2 steps, \d+\.\d\d s\n$/);
    const metadata = await sharp(join(folder, 'cat.png')).metadata();
    expect(metadata).toMatchObject({ format: 'png', width: 64, height: 64 });
  });

  it('generate --json reports the file, and the same seed gives the same bytes', async () => {
    const draw = async (out: string) => {
      const args = ['--out', out, '--seed', '6', '--size', '96x80', '--model', model, '--json'];
      const { code, stdout } = await run('a red cat', ...args);
      expect(code).toBe(0);
      return JSON.parse(stdout) as Record<string, unknown>;
    };
    const report = await draw('first.webp');
    const again = await draw('second.webp');
    expect(report).toMatchObject({
      file: join(folder, 'first.webp'),
      format: 'webp',
      width: 96,
      height: 80,
      drawn: [64, 64],
      seed: 6,
      num_inference_steps: 4,
      model: 'pixart-edge/tiny',
      warnings: [{ code: 'size_resampled' }],
    });
    expect(report.bytes).toBe(readFileSync(join(folder, 'first.webp')).length);
    expect(again.sha256).toBe(report.sha256);
  });

  it('generate chooses a seed when none is given, and takes the format before the name', async () => {
    const args = ['--out', 'cat.bin', '--format', 'jpg', '--model', model, '--json'];
    const { stdout } = await run('a red cat', ...args);
    const { seed } = JSON.parse(stdout) as { seed: number };
    expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
    expect((await sharp(join(folder, 'cat.bin')).metadata()).format).toBe('jpeg');
  });

  it('generate --help explains every option and draws nothing', async () => {
    const { code, stdout } = await run('--help');
    expect(code).toBe(0);
    for (const option of [
      '--out',
      '--seed',
      '--steps',
      '--size',
      '--format',
      '--model',
      '--json',
    ]) {
      expect(stdout).toContain(option);
    }
  });

  it.each([
    ['no prompt', [], "missing required argument 'prompt'"],
    ['an empty prompt', [' ', '--model', model], 'prompt: has no visible character'],
    ['an unknown option', ['a', '--colour', 'red'], "unknown option '--colour'"],
    ['a seed that is no number', ['a', '--seed', '1e3'], 'an integer from 0 to 4294967295'],
    ['more steps than the model', ['a', '--steps', '9', '--model', model], 'from 1 to 8 with lcm'],
    ['a size without x', ['a', '--size', '64'], 'must look like 512x512'],
    [
      'a size that is not drawn',
      ['a', '--size', '96x64', '--size-policy', 'exact', '--model', model],
      'it draws 64x64',
    ],
    ['a name without a format', ['a', '--out', 'cat', '--model', model], 'say which with --format'],
    ['a folder that is no model', ['a', '--model', tmpdir()], 'npm run convert'],
  ])('generate ends with 2 and a sentence for %s', async (_, args, sentence) => {
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(sentence);
    expect(stderr).not.toContain('    at ');
  });

  it('generate ends with 1 when the picture cannot be written', async () => {
    const { code, stderr } = await run('a', '--out', 'nowhere/cat.png', '--model', model);
    expect(code).toBe(1);
    expect(stderr).toContain('ENOENT');
    expect(existsSync(join(folder, 'nowhere'))).toBe(false);
  });
});
