import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = new URL('../..', import.meta.url);
let models: string;
beforeAll(() => {
  models = mkdtempSync(path.join(tmpdir(), 'pixart-edge-models-'));
});
afterAll(() => rmSync(models, { recursive: true, force: true }));

const run = (...args: string[]) =>
  spawnSync(process.execPath, ['scripts/model.ts', '--models', models, ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  });

describe('npm run model', () => {
  it('lists what is published', () => {
    const { status, stdout } = run('list');
    expect(status).toBe(0);
    expect(stdout).toContain('PixArt-LCM-XL-2-1024-MS');
  });

  it('ends with 1 for a model that is not here, and with 2 for wrong usage', () => {
    const missing = run('remove', 'PixArt-alpha/PixArt-LCM-XL-2-1024-MS');
    expect(missing.stderr).toContain('is not here');
    expect(missing.status).toBe(1);
    expect(run('paint').status).toBe(2);
    expect(run('--help').status).toBe(0);
  });
});
