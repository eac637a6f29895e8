import path from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { GpuFunctionError, GpuFunctionProcess } from '../../../scripts/start/gpu-function.ts';
import { readProcess } from '../../../scripts/start/processes.ts';

const SCRIPT = path.resolve(import.meta.dirname, '../../helpers/stand-in-function.ts');
const running: GpuFunctionProcess[] = [];

afterEach(async () => {
  for (const gpuFunction of running.splice(0)) await gpuFunction.stop();
});

function start(behaviour: string, onDeath?: (how: string, restartInMs: number) => void) {
  const lines: string[] = [];
  const gpuFunction = new GpuFunctionProcess({
    env: { ...process.env, BEHAVIOUR: behaviour },
    script: SCRIPT,
    onLine: (line) => lines.push(line),
    ...(onDeath && { onDeath }),
  });
  running.push(gpuFunction);
  return { gpuFunction, lines };
}

describe('GpuFunctionProcess', () => {
  it('gives its address once it listens, and hands its lines on', async () => {
    const { gpuFunction, lines } = start('serve');
    const url = await gpuFunction.url();
    await gpuFunction.ready;
    expect(await (await fetch(url)).text()).toBe(String(gpuFunction.pid));
    expect(lines).toEqual(['line one']);
  });

  it('comes back on the same port when it has died, later each time', async () => {
    const deaths: [string, number][] = [];
    const { gpuFunction } = start('serve', (how, ms) => deaths.push([how, ms]));
    const url = await gpuFunction.url();
    for (const _ of [1, 2]) {
      const before = await (await fetch(url)).text();
      await fetch(`${url}/die`).catch(() => undefined);
      await vi.waitFor(async () => expect(await (await fetch(url)).text()).not.toBe(before), {
        timeout: 15_000,
        interval: 50,
      });
    }
    expect(deaths).toEqual([
      ['exit code 3', 250],
      ['exit code 3', 500],
    ]);
  });

  it('fails with what the function said when it cannot start', async () => {
    const { gpuFunction } = start('exit');
    await expect(gpuFunction.url()).rejects.toThrow(GpuFunctionError);
    await expect(gpuFunction.ready).rejects.toThrow('BUNDLE is missing');
  });

  it('fails with what the function said when the model does not load', async () => {
    const { gpuFunction } = start('fail-setup');
    await gpuFunction.url();
    await expect(gpuFunction.ready).rejects.toThrow('the digest of graph.onnx is wrong');
  });

  it('leaves nothing behind when it is stopped', async () => {
    const { gpuFunction } = start('serve');
    await gpuFunction.ready;
    const pid = gpuFunction.pid!;
    await gpuFunction.stop();
    await gpuFunction.stop();
    expect(readProcess(pid)).toBeUndefined();
  });
});
