/** `{localDir}/run.json`: which process serves from this folder, so that two never share its state. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { readProcess } from './processes.ts';

const runRecord = z.object({
  pid: z.int().min(1),
  /** 0 where it cannot be known. */
  startTicks: z.int().min(0),
  url: z.string(),
});
export type RunRecord = z.infer<typeof runRecord>;

const FILE = 'run.json';

/** The service that runs from this folder, or undefined. A record whose process is gone is nobody's. */
export async function findRunning(localDir: string): Promise<RunRecord | undefined> {
  let text: string;
  try {
    text = await readFile(path.join(localDir, FILE), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
  const record = parseRecord(text);
  if (record === undefined || record.pid === process.pid) return undefined;
  return isRunning(record) ? record : undefined;
}

export async function writeRunFile(localDir: string, url: string): Promise<void> {
  const startTicks = readProcess(process.pid)?.startTicks ?? 0;
  const record: RunRecord = { pid: process.pid, startTicks, url };
  await mkdir(localDir, { recursive: true });
  await writeFile(path.join(localDir, FILE), `${JSON.stringify(record)}\n`);
}

export async function removeRunFile(localDir: string): Promise<void> {
  await rm(path.join(localDir, FILE), { force: true });
}

function parseRecord(text: string): RunRecord | undefined {
  try {
    return runRecord.safeParse(JSON.parse(text)).data;
  } catch (error) {
    // Cut off by a kill in the middle of writing: nobody's.
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

function isRunning({ pid, startTicks }: RunRecord): boolean {
  if (startTicks > 0) return readProcess(pid)?.startTicks === startTicks;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
