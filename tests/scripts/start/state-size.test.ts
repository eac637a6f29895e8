import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { measureFolder } from '../../../scripts/start/state-size.ts';

describe('measureFolder()', () => {
  it('adds up all files below a folder', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'pixart-edge-size-'));
    mkdirSync(path.join(folder, 'a/b'), { recursive: true });
    writeFileSync(path.join(folder, 'one'), Buffer.alloc(1000));
    writeFileSync(path.join(folder, 'a/b/two'), Buffer.alloc(234));
    expect(await measureFolder(folder)).toBe(1234);
    rmSync(folder, { recursive: true });
  });

  it('finds no bytes in a folder that does not exist', async () => {
    expect(await measureFolder('/no/such/folder')).toBe(0);
  });
});
