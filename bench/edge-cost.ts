/**
 * What the edge costs: CPU of workerd for each request, against bare hono on workerd, interleaved in one run.
 *
 *     node bench/edge-cost.ts [--requests 500] [--rounds 5] [--json]
 *
 * - picture from memory, goal ≤ 1.2 × bare hono serving the same bytes
 * - authenticated POST answered from the cache, goal ≤ 2 × bare hono that parses and hashes the same JSON, ≤ 220 µs
 * - 401, goal ≤ 1.5 × a constant answer, ≤ 120 µs
 * - latency added to a picture of 500 ms, goal p50 ≤ 0.6 ms, p99 ≤ 3 ms
 * - memory of workerd for each of 1,000 followers of one stream, goal ≤ 16 KiB
 *
 * Ratios are the medians of the rounds' ratios: both sides of a round run within the same second. Linux only: it reads /proc.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { bundleWorker, loadRuntime } from '../scripts/worker-runtime.ts';
import { generationBytes, rawRequest, readJson, startEdge } from '../tests/helpers/edge.ts';
import { quantile } from './promises/command.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '500' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
});
const REQUESTS = Number(values.requests);
const ROUNDS = Number(values.rounds);
const CONCURRENCY = 8;
const DRAWING_MS = 500;
const FOLLOWERS = 1000;
/** What `/proc` counts in: a hundredth of a second on every Linux that we know. */
const TICK_US = 10_000;

interface Call {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly status: number;
}

const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });

function send({ url, method = 'GET', headers = {}, body, status }: Call): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, agent }, (response) => {
      response.resume();
      response.once('end', () => {
        if (response.statusCode === status) resolve();
        else reject(new Error(`${url} answered ${response.statusCode}, not ${status}`));
      });
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

/** Microseconds of CPU that the process spends for one request. */
async function cpuOf(pid: number, call: Call): Promise<number> {
  const before = ticksOf(pid);
  let left = REQUESTS;
  const work = async () => {
    while (left > 0) {
      left -= 1;
      await send(call);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return ((ticksOf(pid) - before) * TICK_US) / REQUESTS;
}

/** User and system time, in ticks. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function memoryOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;
}

/** Processes of workerd that this one has started. */
function runtimes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const [, comm, parent] = /\((.*)\) \S (\d+)/.exec(stat) ?? [];
        return comm === 'workerd' && Number(parent) === process.pid ? [Number(name)] : [];
      } catch {
        return []; // it has ended since the folder was read
      }
    });
}

async function startBare() {
  const [{ convertV4MiniflareOptions, Miniflare }] = await loadRuntime();
  const contents = await bundleWorker('bench/bare-worker.ts');
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      port: 0,
      cf: false,
      logRequests: false,
      workers: [
        {
          name: 'bare',
          modules: [{ type: 'ESModule', path: 'index.js', contents }],
          compatibilityDate: '2026-10-20',
          unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
        },
      ],
    } as Parameters<typeof convertV4MiniflareOptions>[0]),
  );
  await miniflare.ready;
  const { origin } = await miniflare.unsafeGetDirectURL('bare');
  return { url: origin, [Symbol.asyncDispose]: () => miniflare.dispose() };
}

await using bare = await startBare();
const [barePid] = runtimes();
await using edge = await startEdge();
const edgePid = runtimes().find((pid) => pid !== barePid);
if (barePid === undefined || edgePid === undefined) throw new Error('workerd is not to be found');

const auth = { Authorization: `Bearer ${edge.key}`, 'Content-Type': 'application/json' };
const body = JSON.stringify({ prompt: 'a picture for the scales', size: '128x128', seed: 1 });
const drawn = await readJson(await edge.generate(JSON.parse(body)));
const digest = drawn.data[0].id as string;
const stored = new Uint8Array(await (await fetch(`${edge.url}/i/${digest}.png`)).arrayBuffer());
await fetch(`${bare.url}/image`, { method: 'PUT', body: stored });
await fetch(`${bare.url}/answer`, { method: 'PUT', body: JSON.stringify(drawn) });

const generations = `${edge.url}/v1/images/generations`;
const pairs: Record<string, { ours: Call; bare: Call; ratio: number; us?: number }> = {
  'picture from memory': {
    ours: { url: `${edge.url}/i/${digest}.png`, status: 200 },
    bare: { url: `${bare.url}/image`, status: 200 },
    ratio: 1.2,
  },
  'cached POST': {
    ours: { url: generations, method: 'POST', headers: auth, body, status: 200 },
    bare: { url: `${bare.url}/json`, method: 'POST', headers: auth, body, status: 200 },
    ratio: 2,
    us: 220,
  },
  refusal: {
    ours: {
      url: generations,
      method: 'POST',
      headers: { ...auth, Authorization: 'Bearer no' },
      body,
      status: 401,
    },
    bare: { url: `${bare.url}/constant`, status: 401 },
    ratio: 1.5,
    us: 120,
  },
};

const figures: Record<string, number> = {};
for (const [name, { ours, bare: theirs }] of Object.entries(pairs)) {
  // Warms the compilers up.
  await cpuOf(edgePid, ours);
  await cpuOf(barePid, theirs);
  const rounds: { ours: number; theirs: number }[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    rounds.push({ ours: await cpuOf(edgePid, ours), theirs: await cpuOf(barePid, theirs) });
  }
  const median = (of: (round: { ours: number; theirs: number }) => number) =>
    quantile(rounds.map(of), 0.5);
  figures[`${name}: µs`] = Math.round(median((round) => round.ours));
  figures[`${name}: µs of bare hono`] = Math.round(median((round) => round.theirs));
  figures[`${name}: ratio`] = Math.round(100 * median((round) => round.ours / round.theirs)) / 100;
}

/** What the function took is known to the stand-in: the rest is the edge's. */
const added: number[] = [];
let tookMs = 0;
edge.upstream.behaviour = {
  during: async () => {
    const startedMs = performance.now();
    await sleep(DRAWING_MS);
    tookMs = performance.now() - startedMs;
  },
};
for (let i = 0; i < Math.max(ROUNDS * 4, 20); i += 1) {
  const startedMs = performance.now();
  await readJson(await edge.generate({ prompt: `added latency ${i}` }));
  added.push(performance.now() - startedMs - tookMs);
}
figures['added latency: p50 ms'] = Math.round(10 * quantile(added, 0.5)) / 10;
figures['added latency: p99 ms'] = Math.round(10 * quantile(added, 0.99)) / 10;

const open = Promise.withResolvers<void>();
edge.upstream.behaviour = { during: () => open.promise };
const follow = () =>
  rawRequest(edge.url, generationBytes(edge, { prompt: 'one stream for all', stream: true }));
const leader = follow();
await leader.has(/: accepted/);
const beforeBytes = memoryOf(edgePid);
const followers = Array.from({ length: FOLLOWERS }, follow);
await Promise.all(followers.map((one) => one.has(/: accepted/)));
figures['a follower: KiB'] =
  Math.round((10 * (memoryOf(edgePid) - beforeBytes)) / FOLLOWERS / 1024) / 10;
open.resolve();
for (const { socket } of [leader, ...followers]) socket.destroy();
agent.destroy();

if (values.json) console.log(JSON.stringify(figures));
else for (const [name, value] of Object.entries(figures)) console.log(`${name}: ${value}`);
