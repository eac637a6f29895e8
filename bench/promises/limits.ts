/**
 * Limits are exact, and a revoked key is out within two seconds.
 *
 *     node bench/promises/limits.ts [--small] [--json] [--seed N]
 *
 * 200 bursts of ten times as many requests as a key may start at once, on two isolates that share its object, which is evicted
 * in the middle of every tenth burst: as many are served as the key allows, none over and none under. Then keys are revoked
 * while callers ask in a loop and hold a stream open: how long the last answer took to be a refusal.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type RunningEdge, readEvents, startEdge } from '../../tests/helpers/edge.ts';
import { type CommandOptions, quantile, type Report, runCommand, seededRandom } from './command.ts';

const SIZES = { full: { bursts: 200, revocations: 50 }, small: { bursts: 4, revocations: 1 } };
/** Requests in a burst for each that the key allows. */
const TIMES = 10;
const LIMIT_MAX = 8;
const EVICT_EVERY = 10;
const REVOKED_WITHIN_MS = 2000;
/** An object writes its budgets down within a quarter of a second. */
const WRITTEN_MS = 1000;

interface Key {
  readonly id: string;
  readonly key: string;
}

export async function measureLimits(options: CommandOptions): Promise<Report> {
  const { bursts, revocations } = SIZES[options.small ? 'small' : 'full'];
  const random = seededRandom(options.seed);
  const findings: string[] = [];
  await using edge = await startEdge({
    isolates: 2,
    scopes: ['generate', 'read', 'admin'],
    bindings: { UPSTREAM_IDLE_MS: '60000' },
  });
  let over = 0;
  let under = 0;
  let requests = 0;
  let troubled = 0;
  for (let i = 0; i < bursts; i += 1) {
    const limit = 1 + Math.floor(random() * LIMIT_MAX);
    const evicts = i % EVICT_EVERY === EVICT_EVERY - 1 || (options.small && i === 1);
    const burst = await runBurst(edge, { limit, evicts, tag: `${options.seed} ${i}` });
    over += Math.max(0, burst.admitted - limit);
    under += Math.max(0, Math.min(limit, burst.asked) - burst.admitted);
    requests += limit * TIMES;
    troubled += burst.troubled;
    if (burst.admitted !== Math.min(limit, burst.asked)) {
      findings.push(`burst ${i}: ${burst.admitted} admitted of ${limit}`);
    }
    if (burst.executions > limit) findings.push(`burst ${i}: ${burst.executions} executions`);
    if (burst.unhinted > 0) findings.push(`burst ${i}: ${burst.unhinted} refused without a hint`);
    if ((i + 1) % 20 === 0) options.progress(`${i + 1} of ${bursts} bursts`);
  }
  const requestMs: number[] = [];
  const streamMs: number[] = [];
  for (let i = 0; i < revocations; i += 1) {
    const revoked = await revokeUnderLoad(edge, `${options.seed} r ${i}`);
    requestMs.push(revoked.requestMs);
    streamMs.push(revoked.streamMs);
    if (revoked.terminals !== 1) findings.push(`revocation ${i}: ${revoked.terminals} last events`);
  }
  const slowest = Math.max(...requestMs, ...streamMs);
  if (slowest > REVOKED_WITHIN_MS) findings.push(`revoked: let in for ${Math.round(slowest)} ms`);
  return {
    kept: findings.length === 0,
    figures: {
      bursts,
      requests,
      over,
      under,
      'not counted, 5xx before the budget was asked': troubled,
      revocations,
      'request refused after ms, p50': Math.round(quantile(requestMs, 0.5)),
      'request refused after ms, most': Math.round(Math.max(...requestMs)),
      'stream ended after ms, p50': Math.round(quantile(streamMs, 0.5)),
      'stream ended after ms, most': Math.round(Math.max(...streamMs)),
    },
    findings: findings.slice(0, 20),
  };
}

interface Burst {
  /** Requests that the budget was asked for: all but those that failed before, on a machine that is short of breath. */
  readonly asked: number;
  /** Those it let through, by the books of the key. */
  readonly admitted: number;
  /** Predictions that reached the function. */
  readonly executions: number;
  /** Refusals that do not say when to come back. */
  readonly unhinted: number;
  readonly troubled: number;
}

async function runBurst(
  edge: RunningEdge,
  { limit, evicts, tag }: { limit: number; evicts: boolean; tag: string },
): Promise<Burst> {
  // One a minute: nothing comes back while the burst runs.
  const { id, key } = await createKey(edge, { rate: 1, burst: limit });
  const count = limit * TIMES;
  const ask = (from: number, to: number) =>
    Promise.all(
      Array.from({ length: to - from }, async (_, i) => {
        const response = await draw(edge, { key, prompt: `${tag} ${from + i}`, at: i });
        await response.arrayBuffer();
        return response;
      }),
    );
  const half = evicts ? Math.floor(limit / 2) : count;
  const responses = await ask(0, half);
  if (evicts) {
    await evict(edge, id);
    responses.push(...(await ask(half, count)));
  }
  const refused = responses.filter(({ status }) => status === 429);
  const admitted = await countGenerations(edge, id);
  return {
    asked: admitted + refused.length,
    admitted,
    executions: edge.upstream.received.filter(({ input }) =>
      `${input.prompt}`.startsWith(`${tag} `),
    ).length,
    unhinted: refused.filter(({ headers }) => !(Number(headers.get('Retry-After')) > 0)).length,
    troubled: count - admitted - refused.length,
  };
}

/** Milliseconds from the answer of the revocation to the last request that was let in, and to the end of a stream. */
async function revokeUnderLoad(
  edge: RunningEdge,
  tag: string,
): Promise<{ requestMs: number; streamMs: number; terminals: number }> {
  const { id, key } = await createKey(edge, {});
  const drawing = Promise.withResolvers<void>();
  edge.upstream.behaviour = { during: () => drawing.promise };
  const stream = await draw(edge, { key, prompt: tag, at: 0, stream: true });
  const asking = new AbortController();
  let revokedMs = Number.POSITIVE_INFINITY;
  let lastMs = 0;
  const loops = edge.worker.urls.map(async (url) => {
    while (!asking.signal.aborted) {
      const startedMs = performance.now();
      const response = await fetch(`${url}/v1/models`, {
        headers: { Authorization: `Bearer ${key}` },
      });
      await response.arrayBuffer();
      // What was begun before and answered after proves nothing.
      if (response.status === 200 && startedMs > revokedMs) lastMs = startedMs - revokedMs;
      if (response.status === 401) return;
    }
  });
  const answer = await fetch(`${edge.url}/v1/keys/${id}`, {
    method: 'DELETE',
    headers: { Authorization: `Bearer ${edge.key}` },
  });
  await answer.arrayBuffer();
  revokedMs = performance.now();
  const events = await readEvents(stream);
  const streamMs = performance.now() - revokedMs;
  await Promise.all(loops);
  asking.abort();
  drawing.resolve();
  edge.upstream.behaviour = {};
  const terminals = events.filter(
    ({ event, data }) => event === 'error' && data.error.reason === 'invalid_credentials',
  ).length;
  return { requestMs: lastMs, streamMs, terminals };
}

async function countGenerations(edge: RunningEdge, id: string): Promise<number> {
  const response = await fetch(`${edge.url}/v1/usage?key_id=${id}`, {
    headers: { Authorization: `Bearer ${edge.key}` },
  });
  const { data } = (await response.json()) as { data: { days: { generations: number }[] }[] };
  return (data[0]?.days ?? []).reduce((sum, { generations }) => sum + generations, 0);
}

async function createKey(edge: RunningEdge, wanted: Record<string, unknown>): Promise<Key> {
  const response = await fetch(`${edge.url}/v1/keys`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${edge.key}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(wanted),
  });
  return (await response.json()) as Key;
}

function draw(
  edge: RunningEdge,
  { key, prompt, at, stream }: { key: string; prompt: string; at: number; stream?: boolean },
): Promise<Response> {
  const { urls } = edge.worker;
  return fetch(`${urls[at % urls.length]}/v1/images/generations`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ prompt, response_format: 'url', ...(stream && { stream }) }),
  });
}

/** The object of the key forgets its memory, once its storage has it. */
async function evict({ worker }: RunningEdge, id: string): Promise<void> {
  await sleep(WRITTEN_MS);
  await worker.miniflare.unsafeEvictDurableObject('pixart-edge', 'ApiKey', { name: id });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await runCommand('limits', measureLimits);
