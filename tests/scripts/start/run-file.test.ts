import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readProcess } from '../../../scripts/start/processes.ts';
import { findRunning, removeRunFile, writeRunFile } from '../../../scripts/start/run-file.ts';

const URL = 'http://127.0.0.1:8787';
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'pixart-edge-run-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const record = (fields: object) =>
  writeFileSync(path.join(folder, 'run.json'), JSON.stringify(fields));

describe('findRunning()', () => {
  it('finds nobody where nothing was started', async () => {
    expect(await findRunning(folder)).toBeUndefined();
  });

  it('finds a process that lives', async () => {
    const pid = process.ppid;
    const alive = { pid, startTicks: readProcess(pid)?.startTicks ?? 0, url: URL };
    record(alive);
    expect(await findRunning(folder)).toEqual(alive);
  });

  it('takes a later process with the same number for another one', async () => {
    record({ pid: process.ppid, startTicks: 1, url: URL });
    expect(await findRunning(folder)).toBeUndefined();
  });

  it('finds nobody in a file that was cut off', async () => {
    writeFileSync(path.join(folder, 'run.json'), '{"pid": 1');
    expect(await findRunning(folder)).toBeUndefined();
  });

  it('does not find the process that asks', async () => {
    await writeRunFile(folder, URL);
    expect(await findRunning(folder)).toBeUndefined();
  });
});

describe('removeRunFile()', () => {
  it('may be called twice', async () => {
    await writeRunFile(folder, URL);
    await removeRunFile(folder);
    await removeRunFile(folder);
    expect(await findRunning(folder)).toBeUndefined();
  });
});
