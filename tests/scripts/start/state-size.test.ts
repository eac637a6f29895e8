import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { measureFolder, removeEndedJobs } from '../../../scripts/start/state-size.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'pixart-edge-size-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('measureFolder()', () => {
  it('adds up what all files below a folder take on the disk', async () => {
    mkdirSync(path.join(folder, 'a/b'), { recursive: true });
    writeFileSync(path.join(folder, 'one'), Buffer.alloc(100_000, 1));
    writeFileSync(path.join(folder, 'a/b/two'), Buffer.alloc(50_000, 1));
    const bytes = await measureFolder(folder);
    expect(bytes).toBeGreaterThanOrEqual(150_000);
    expect(bytes).toBeLessThan(300_000);
  });

  it('finds no bytes in a folder that does not exist', async () => {
    expect(await measureFolder(path.join(folder, 'nothing'))).toBe(0);
  });
});

describe('removeEndedJobs()', () => {
  it('deletes the files of jobs after an hour, and nothing else', async () => {
    const jobs = path.join(folder, 'do/pixart-edge-Job');
    const keys = path.join(folder, 'do/pixart-edge-ApiKey');
    mkdirSync(jobs, { recursive: true });
    mkdirSync(keys, { recursive: true });
    const old = [path.join(jobs, 'a.sqlite'), path.join(jobs, 'a.sqlite-wal')];
    const kept = [
      path.join(jobs, 'b.sqlite'),
      path.join(jobs, 'note'),
      path.join(keys, 'k.sqlite'),
    ];
    for (const file of [...old, ...kept]) writeFileSync(file, 'x');
    const hourAgo = new Date(Date.now() - 3_601_000);
    for (const file of [...old, ...kept.slice(1)]) utimesSync(file, hourAgo, hourAgo);

    expect(await removeEndedJobs(folder, Date.now())).toBe(2);
    expect(old.filter(existsSync)).toEqual([]);
    expect(kept.filter(existsSync)).toEqual(kept);
  });

  it('finds nothing where no service has run yet', async () => {
    expect(await removeEndedJobs(folder, Date.now())).toBe(0);
  });
});
