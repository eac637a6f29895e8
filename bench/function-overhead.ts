/**
 * What the function costs beside the drawing, and how soon it lets go.
 *
 *     node bench/function-overhead.ts [--count 500]
 *
 * - CPU of the HTTP process per prediction, with an engine that finishes at once. Goal: at most 1.5 ms.
 * - From a caller's FIN or RST to the stop signal at the engine, while nothing is being written.
 * - `/health-check` while a worker thread draws with the tiny checkpoint: the event loop stays free.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { loadConfig } from '../gpu-fn/config.ts';
import { createFunction } from '../gpu-fn/server.ts';
import { WorkerPool } from '../gpu-fn/workers/worker-pool.ts';
import { ControlledEngine } from '../tests/helpers/controlled-engine.ts';
import { startFunction } from '../tests/helpers/gpu-function.ts';
import { makeTinyBundle } from '../tests/helpers/tiny-bundle.ts';

const { values } = parseArgs({ options: { count: { type: 'string', default: '500' } } });
const COUNT = Number(values.count);
const BODY = JSON.stringify({ input: { prompt: 'a red apple', seed: 1 } });
const silent = { debug: () => undefined, info: () => undefined, error: () => undefined };

/** Sends requests from a thread of its own, so that its CPU is not ours. */
const CLIENT = `
const { parentPort, workerData } = require('node:worker_threads');
const { url, accept, body, count } = workerData;
(async () => {
  const before = process.threadCpuUsage();
  for (let i = 0; i < count; i += 1) {
    const headers = { 'Content-Type': 'application/json', Accept: accept };
    const response = await fetch(url, { method: 'POST', headers, body });
    await response.text();
  }
  const { user, system } = process.threadCpuUsage(before);
  parentPort.postMessage(user + system);
})();
`;

async function request(url: string, accept: string, count: number): Promise<number> {
  const worker = new Worker(CLIENT, { eval: true, workerData: { url, accept, body: BODY, count } });
  const [microseconds] = (await once(worker, 'message')) as [number];
  await worker.terminate();
  return microseconds;
}

async function measureCpu(accept: string): Promise<number> {
  const engine = new ControlledEngine();
  engine.automatic = true;
  engine.automaticPicture = new Uint8Array(20_000);
  await using fn = await startFunction({ engine });
  const url = `${fn.origin}/predictions`;
  await request(url, accept, COUNT); // warms the compiler up
  const before = process.threadCpuUsage();
  await request(url, accept, COUNT);
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / COUNT;
}

async function measureDeparture(way: 'FIN' | 'RST'): Promise<number[]> {
  await using fn = await startFunction();
  const head =
    'POST /predictions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
    `Content-Length: ${BODY.length}\r\n\r\n`;
  const times: number[] = [];
  for (let i = 0; i < 50; i += 1) {
    const socket = connect(fn.port, '127.0.0.1');
    socket.write(head + BODY);
    const job = await fn.engine.nextJob();
    const startedAt = performance.now();
    if (way === 'FIN') socket.end();
    else socket.resetAndDestroy();
    await job.stopped();
    times.push(performance.now() - startedAt);
    socket.destroy();
  }
  return times;
}

async function measureHealth(): Promise<number[]> {
  await using bundle = await makeTinyBundle();
  await using pool = new WorkerPool({
    size: 1,
    workerUrl: new URL('../gpu-fn/workers/inference-worker.ts', import.meta.url),
    workerData: { bundle: bundle.folder, threads: 1 },
    log: silent,
    cancelGraceMs: 5000,
    setupTimeoutMs: 60_000,
  });
  const config = loadConfig({ PORT: '0', BUNDLE: bundle.folder, DRAIN_DEADLINE_MS: '10' });
  const fn = createFunction({ config, engine: pool, log: silent });
  const origin = `http://127.0.0.1:${await fn.listen()}`;
  await pool.started;
  const draw = () =>
    fetch(`${origin}/predictions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ input: { prompt: 'a', num_outputs: 10, num_inference_steps: 8 } }),
    });
  let drawing = true;
  const drawn = draw().then(() => {
    drawing = false;
  });
  const times: number[] = [];
  while (drawing) {
    const startedAt = performance.now();
    await (await fetch(`${origin}/health-check`)).text();
    times.push(performance.now() - startedAt);
  }
  await drawn;
  await fn.drain();
  return times;
}

function percentiles(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]?.toFixed(2);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms (${sorted.length} samples)`;
}

const show = (name: string, text: string) => process.stdout.write(`${name.padEnd(34)} ${text}\n`);
show('CPU per synchronous prediction', `${(await measureCpu('application/json')).toFixed(0)} µs`);
show('CPU per streamed prediction', `${(await measureCpu('text/event-stream')).toFixed(0)} µs`);
show('FIN to stop signal', percentiles(await measureDeparture('FIN')));
show('RST to stop signal', percentiles(await measureDeparture('RST')));
show('/health-check while drawing', percentiles(await measureHealth()));
