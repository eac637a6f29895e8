/**
 * Processes of this machine as `/proc` tells of them; on systems without it nothing is known and nothing is touched.
 *
 * Needed after `kill -9` of a service: its workerd lives on, keeps the port and serves old code.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProcessInfo {
  readonly pid: number;
  readonly parentPid: number;
  /** Path of the program, or undefined where it may not be seen. */
  readonly executable: string | undefined;
  /** Clock ticks between boot and start: tells a process from a later one with its number. */
  readonly startTicks: number;
}

const KILL_DEADLINE_MS = 3000;
const POLL_MS = 25;

export function readProcess(pid: number): ProcessInfo | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold blanks and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // Ended, but not yet fetched by its parent.
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return {
      pid,
      parentPid: Number(fields[1]),
      startTicks: Number(fields[19]),
      executable: readExecutable(pid),
    };
  } catch {
    // Gone, or there is no /proc.
    return undefined;
  }
}

function readExecutable(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    // Another user's, or gone.
    return undefined;
  }
}

export function listProcesses(): ProcessInfo[] {
  let names: string[];
  try {
    names = readdirSync('/proc');
  } catch {
    // Not Linux.
    return [];
  }
  return names
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((info) => info !== undefined);
}

/**
 * Those workerd of `modules` whose parent is no Node any more. A workerd of a running service always has its Node as
 * parent, so none of these belongs to one.
 *
 * @param modules  the `node_modules` whose workerd is ours
 */
export function findOrphans(modules: string, processes: readonly ProcessInfo[]): ProcessInfo[] {
  const byPid = new Map(processes.map((info) => [info.pid, info]));
  return processes.filter(({ executable, parentPid }) => {
    if (executable === undefined || !executable.startsWith(modules + path.sep)) return false;
    if (path.basename(executable) !== 'workerd') return false;
    const parent = byPid.get(parentPid)?.executable;
    return parent === undefined || !/^node/.test(path.basename(parent));
  });
}

/** Ends orphans of earlier services. @returns how many there were */
export async function endOrphans(modules: string): Promise<number> {
  const orphans = findOrphans(modules, listProcesses());
  for (const { pid, startTicks } of orphans) {
    if (readProcess(pid)?.startTicks === startTicks) process.kill(pid, 'SIGKILL');
  }
  const deadlineMs = Date.now() + KILL_DEADLINE_MS;
  while (orphans.some(isAlive) && Date.now() < deadlineMs) await sleep(POLL_MS);
  return orphans.length;
}

function isAlive({ pid, startTicks }: ProcessInfo): boolean {
  return readProcess(pid)?.startTicks === startTicks;
}
