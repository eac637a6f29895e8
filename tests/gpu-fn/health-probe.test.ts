import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { startFunction } from '../helpers/gpu-function.ts';

const PROBE = fileURLToPath(new URL('../../gpu-fn/health-probe.ts', import.meta.url));

async function probe(port: number): Promise<unknown> {
  const child = spawn(process.execPath, [PROBE], {
    env: { PORT: String(port) },
    stdio: 'ignore',
  });
  return (await once(child, 'exit'))[0];
}

describe('health-probe.ts', () => {
  it('exits with 0 while the function serves, else with 1', async () => {
    await using fn = await startFunction();
    expect(await probe(fn.port)).toBe(0);
    fn.engine.status = 'unhealthy';
    expect(await probe(fn.port)).toBe(1);
  });

  it('exits with 1 when nobody listens', async () => {
    const { port } = await startFunction().then(async (fn) => {
      await fn[Symbol.asyncDispose]();
      return fn;
    });
    expect(await probe(port)).toBe(1);
  });
});
