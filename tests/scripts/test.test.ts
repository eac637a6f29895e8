import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../scripts/node-runtime.js';

describe('npm test', () => {
  it('hands its arguments to the runner and ends with what has passed and failed', () => {
    const args = ['--project', 'repo', 'tests/scripts/lockfile-holes.test.ts'];
    const script = path.join(ROOT, 'scripts/test.js');
    const { status, stdout } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
    expect(status).toBe(0);
    expect(stdout.trim().split('\n').at(-1)).toBe('2 passed, 0 failed');
  });

  it('fails when there is nothing to run', () => {
    const script = path.join(ROOT, 'scripts/test.js');
    const { status } = spawnSync(process.execPath, [script, 'no/such.test.ts'], {
      stdio: 'ignore',
    });
    expect(status).toBe(1);
  });
});
