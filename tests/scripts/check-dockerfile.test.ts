import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

const ROOT = new URL('../..', import.meta.url);

describe('check-dockerfile.ts', () => {
  it('refuses a target that the recipe does not have, or a machine where it cannot mount', () => {
    const args = ['scripts/check-dockerfile.ts', '--target', 'nothing'];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
    const mayMount = process.platform === 'linux' && process.getuid?.() === 0;
    if (mayMount) expect(stderr).toMatch(/no stage nothing|mount|unshare/);
    else expect(stderr).toContain('needs root on Linux');
    expect(status).not.toBe(0);
  });
});
