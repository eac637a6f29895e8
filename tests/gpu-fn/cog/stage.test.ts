import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const STAGE = fileURLToPath(new URL('../../../gpu-fn/cog/stage.ts', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stage-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const stage = (...args: string[]) =>
  spawnSync(process.execPath, [STAGE, ...args], { encoding: 'utf8' });

describe('stage.ts', () => {
  it('says how it is used', () => {
    const { status, stderr } = stage('--out', folder);
    expect(status).toBe(2);
    expect(stderr).toContain('--checkpoint DIR --out DIR');
  });

  it('refuses to replace a folder that it has not made', () => {
    const mine = join(folder, 'mine.txt');
    writeFileSync(mine, 'keep');
    const { status, stderr } = stage('--checkpoint', folder, '--out', folder);
    expect(status).toBe(1);
    expect(stderr).toContain('was not made by this command');
    expect(existsSync(mine)).toBe(true);
  });
});
