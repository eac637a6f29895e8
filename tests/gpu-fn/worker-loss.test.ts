/** A worker thread that dies under a prediction, seen from outside. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../gpu-fn/config.ts';
import { createFunction, type GpuFunction } from '../../gpu-fn/server.ts';
import { WorkerPool } from '../../gpu-fn/workers/worker-pool.ts';
import { allEvents } from '../helpers/gpu-function.ts';

const silent = { debug: () => undefined, info: () => undefined, error: () => undefined };

let pool: WorkerPool;
let fn: GpuFunction;
let origin: string;
beforeEach(async () => {
  pool = new WorkerPool({
    size: 1,
    workerUrl: new URL('../helpers/scripted-worker.ts', import.meta.url),
    workerData: { bundle: 'any', threads: 1 },
    log: silent,
    cancelGraceMs: 5000,
    setupTimeoutMs: 30_000,
    onRestart: () => fn.metrics.workerRestarts.inc(),
  });
  const config = loadConfig({ PORT: '0', BUNDLE: 'unused', DRAIN_DEADLINE_MS: '10' });
  fn = createFunction({ config, engine: pool, log: silent });
  origin = `http://127.0.0.1:${await fn.listen()}`;
  await pool.started;
});
afterEach(async () => {
  await fn.drain();
  await pool.close();
});

function predict(prompt: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${origin}/predictions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ input: { prompt } }),
  });
}

const health = async () => (await (await fetch(`${origin}/health-check`)).json()) as object;

describe('a dying worker', () => {
  it('ends its stream with one clear error, and the next prediction works', async () => {
    const events = await allEvents(await predict('exit', { Accept: 'text/event-stream' }));
    expect(events.filter(({ event }) => event === 'completed')).toHaveLength(1);
    expect(events.at(-1)?.data).toMatchObject({
      status: 'failed',
      error: 'The inference worker stopped unexpectedly. The request can be repeated.',
      code: 'upstream_lost',
    });
    expect(await health()).toMatchObject({ status: 'UNHEALTHY' });
    expect((await predict('draw')).status).toBe(503);
    await expect.poll(health).toMatchObject({ status: 'READY' });
    expect(await (await predict('draw')).json()).toMatchObject({ status: 'succeeded' });
    const { values } = await fn.metrics.workerRestarts.get();
    expect(values[0]?.value).toBe(1);
  });

  it('does not take the one along that waits behind it', async () => {
    const dying = predict('exit');
    const waiting = predict('draw');
    expect(await (await dying).json()).toMatchObject({ status: 'failed' });
    expect(await (await waiting).json()).toMatchObject({ status: 'succeeded' });
  });
});
