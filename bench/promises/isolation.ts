/**
 * Nobody gets what belongs to another account.
 *
 *     node bench/promises/isolation.ts [--small] [--json] [--seed N]
 *
 * A seeded random walk of three accounts that ask for the same few prompts: drawing for the account and for all, as JSON and as
 * streams, leaving, names of requests, keys made, changed and revoked, tokens, usage, the ids of other accounts, objects that
 * are evicted. The stand-in for the function draws every execution differently, so the bytes of a picture tell which account
 * had it drawn: what an account is given must be its own or public.
 */
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { createApiKey } from '#shared/api-key.ts';
import { type RunningEdge, startEdge } from '../../tests/helpers/edge.ts';
import { makePng } from '../../tests/helpers/picture.ts';
import { type ReceivedPrediction, toDataUri } from '../../tests/helpers/upstream.ts';
import { type CommandOptions, type Report, runCommand, seededRandom } from './command.ts';

const STEPS = { full: 100_000, small: 300 };
const ACCOUNTS = ['alpha', 'beta', 'gamma'];
const PROMPTS = 12;
const NAMES = 8;
/** Walkers that go at the same time, so that accounts meet. */
const WALKERS = 6;

interface Walk {
  readonly edge: RunningEdge;
  readonly random: () => number;
  /** Account and visibility that had each picture drawn, by the digest of its bytes. */
  readonly owners: Map<string, { readonly account: string; readonly isPublic: boolean }>;
  /** Requests under way by their id. */
  readonly requests: Map<string, { readonly account: string; readonly isPublic: boolean }>;
  readonly keys: Map<string, { readonly id: string; readonly key: string }[]>;
  readonly masters: ReadonlyMap<string, string>;
  readonly findings: string[];
  readonly counts: Record<string, number>;
  readonly seed: number;
  number: number;
  requestCount: number;
  colour: number;
}

export async function measureIsolation(options: CommandOptions): Promise<Report> {
  const steps = STEPS[options.small ? 'small' : 'full'];
  const masters = await Promise.all(
    ACCOUNTS.map(async (account) => ({ account, ...(await createApiKey()) })),
  );
  await using edge = await startEdge({
    bindings: {
      UPSTREAM_IDLE_MS: '60000',
      API_KEYS_BOOTSTRAP: JSON.stringify(
        masters.map(({ account, id, sha256 }) => ({
          id,
          sha256,
          account,
          scopes: ['generate', 'read', 'keys'],
          rate: 1_000_000,
          burst: 1_000_000,
          streams: 10_000,
        })),
      ),
    },
  });
  const walk: Walk = {
    edge,
    random: seededRandom(options.seed),
    owners: new Map(),
    requests: new Map(),
    keys: new Map(ACCOUNTS.map((account) => [account, []])),
    masters: new Map(masters.map(({ account, key }) => [account, key])),
    findings: [],
    counts: {},
    seed: options.seed,
    number: 0,
    requestCount: 0,
    colour: 0,
  };
  const received = new Map<string, ReceivedPrediction>();
  edge.upstream.behaviour = {
    before: (_response, it) => void received.set(it.id, it),
    result: (completed) => drawOnce(walk, completed, received),
  };
  const walkers = Array.from({ length: WALKERS }, async () => {
    while (walk.number < steps) {
      walk.number += 1;
      if (walk.number % 5000 === 0) options.progress(`${walk.number} of ${steps} steps`);
      await step(walk);
    }
  });
  await Promise.all(walkers);
  const { findings, counts } = walk;
  const pictures = (counts.pictures ?? 0) + (counts.replayed ?? 0);
  if (pictures === 0 || (counts.public ?? 0) === 0) findings.push('the walk saw nothing');
  return {
    kept: findings.length === 0,
    figures: { steps, leaks: findings.length, executions: walk.owners.size, ...counts },
    findings: findings.slice(0, 20),
  };
}

/** A picture of a colour that no other execution has, written down with the account that had it drawn. */
function drawOnce(
  walk: Walk,
  completed: Record<string, unknown>,
  received: Map<string, ReceivedPrediction>,
): Record<string, unknown> {
  const id = String(completed.id);
  const { input, headers } = received.get(id)!;
  received.delete(id);
  walk.colour += 1;
  const bytes = makePng(Number(input.width), Number(input.height), walk.colour);
  const digest = createHash('sha256').update(bytes).digest('hex');
  const owner = walk.requests.get(String(headers['x-request-id']));
  if (owner === undefined) walk.findings.push(`an execution for nobody: ${id}`);
  else walk.owners.set(digest, owner);
  return { ...completed, output: [toDataUri(bytes)], output_sha256: [digest] };
}

type Step = (walk: Walk, account: string) => Promise<void>;

/** What a walker does, and how often. */
const STEPS_BY_WEIGHT: readonly (readonly [number, Step])[] = [
  [50, drawStep],
  [15, drawNamedStep],
  [8, leaveStep],
  [6, createKeyStep],
  [4, changeKeyStep],
  [6, peekStep],
  [5, listStep],
  [5, usageStep],
  [1, evictStep],
];

async function step(walk: Walk): Promise<void> {
  const account = pick(walk, ACCOUNTS);
  const total = STEPS_BY_WEIGHT.reduce((sum, [weight]) => sum + weight, 0);
  let at = walk.random() * total;
  for (const [weight, run] of STEPS_BY_WEIGHT) {
    at -= weight;
    if (at < 0) return run(walk, account);
  }
}

async function drawStep(walk: Walk, account: string): Promise<void> {
  await draw(walk, account, {});
}

/** Every account uses the same few names, each for one body. */
async function drawNamedStep(walk: Walk, account: string): Promise<void> {
  await draw(walk, account, { name: Math.floor(walk.random() * NAMES) });
}

async function leaveStep(walk: Walk, account: string): Promise<void> {
  await draw(walk, account, { leaves: true });
}

async function draw(
  walk: Walk,
  account: string,
  { name, leaves = false }: { name?: number; leaves?: boolean },
): Promise<void> {
  const isNamed = name !== undefined;
  const isPublic = !isNamed && walk.random() < 0.25;
  const isStream = !isNamed && walk.random() < 0.3;
  const reloads = !isNamed && walk.random() < 0.15;
  const requestId = `walk-${walk.seed}-${walk.requestCount}`;
  walk.requestCount += 1;
  walk.requests.set(requestId, { account, isPublic });
  const body = {
    prompt: `prompt ${name ?? Math.floor(walk.random() * PROMPTS)}`,
    visibility: isPublic ? 'public' : 'account',
    ...(isStream && { stream: true }),
  };
  const leaving = new AbortController();
  const response = await ask(walk, account, 'POST', '/v1/images/generations', {
    body,
    signal: leaving.signal,
    headers: {
      'X-Request-Id': requestId,
      ...(isNamed && { 'Idempotency-Key': `name-${name}` }),
      ...(reloads && { 'Cache-Control': 'no-cache' }),
    },
  });
  if (leaves) {
    leaving.abort();
    await response.body?.cancel().catch(() => undefined);
    count(walk, 'left');
    return;
  }
  const text = await response.text();
  if (response.headers.get('Idempotency-Replayed') === 'true') count(walk, 'replayed');
  // The digest of the bytes that came, not the one that is said.
  for (const [, base64 = ''] of text.matchAll(/"b64_json":"([^"]+)"/g)) {
    const digest = createHash('sha256').update(Buffer.from(base64, 'base64')).digest('hex');
    check(walk, account, digest);
  }
}

/** A picture that an account was given must be its own, or one that was drawn for all. */
function check(walk: Walk, account: string, digest: string): void {
  count(walk, 'pictures');
  const owner = walk.owners.get(digest);
  if (owner === undefined) walk.findings.push(`${account} got a picture that nobody had drawn`);
  else if (owner.isPublic) count(walk, 'public');
  else if (owner.account !== account) {
    walk.findings.push(`${account} got a picture of ${owner.account}`);
  }
}

async function createKeyStep(walk: Walk, account: string): Promise<void> {
  const response = await ask(walk, account, 'POST', '/v1/keys', {
    body: { scopes: ['generate', 'read', 'keys'], rate: 1_000_000, burst: 1_000_000 },
    master: true,
  });
  if (response.status !== 201) {
    await response.arrayBuffer();
    return;
  }
  const made = (await response.json()) as { id: string; key: string; account: string };
  if (made.account !== account) walk.findings.push(`${account} made a key of ${made.account}`);
  walk.keys.get(account)!.push({ id: made.id, key: made.key });
  count(walk, 'keys');
}

/** Revokes a key of the account, or gives it another secret. */
async function changeKeyStep(walk: Walk, account: string): Promise<void> {
  const keys = walk.keys.get(account)!;
  if (keys.length === 0) return;
  const at = Math.floor(walk.random() * keys.length);
  const { id } = keys[at]!;
  keys.splice(at, 1);
  if (walk.random() < 0.7) {
    const response = await ask(walk, account, 'DELETE', `/v1/keys/${id}`, { master: true });
    await response.arrayBuffer();
    count(walk, 'revoked');
    return;
  }
  const response = await ask(walk, account, 'POST', `/v1/keys/${id}/rotate`, { master: true });
  const { key } = (await response.json()) as { key?: string };
  if (key !== undefined) keys.push({ id, key });
}

/** Asks for what another account has made. */
async function peekStep(walk: Walk, account: string): Promise<void> {
  const other = pick(
    walk,
    ACCOUNTS.filter((it) => it !== account),
  );
  const keys = walk.keys.get(other)!;
  if (keys.length === 0) return;
  const { id } = pick(walk, keys);
  const [method, path] = pick(walk, [
    ['GET', `/v1/keys/${id}`],
    ['DELETE', `/v1/keys/${id}`],
    ['POST', `/v1/keys/${id}/rotate`],
    ['GET', `/v1/usage?key_id=${id}`],
  ] as const);
  const response = await ask(walk, account, method, path, {});
  await response.arrayBuffer();
  count(walk, 'peeked');
  // Refused for its own reasons, or as if there were nothing.
  if (response.status < 400) walk.findings.push(`${account} did ${method} to a key of ${other}`);
}

async function listStep(walk: Walk, account: string): Promise<void> {
  const response = await ask(walk, account, 'GET', '/v1/keys', { master: true });
  const { data = [] } = (await response.json()) as { data?: { account: string }[] };
  const strange = data.find((key) => key.account !== account);
  if (strange !== undefined) walk.findings.push(`${account} sees a key of ${strange.account}`);
}

async function usageStep(walk: Walk, account: string): Promise<void> {
  const response = await ask(walk, account, 'GET', '/v1/usage', { master: true });
  const { data = [] } = (await response.json()) as { data?: { key_id: string }[] };
  const others = ACCOUNTS.filter((it) => it !== account).flatMap((it) => walk.keys.get(it)!);
  const strange = data.find(({ key_id: id }) => others.some((other) => other.id === id));
  if (strange !== undefined) walk.findings.push(`${account} sees the usage of another`);
}

/** The object of a key forgets its memory. */
async function evictStep(walk: Walk, account: string): Promise<void> {
  const keys = walk.keys.get(account)!;
  if (keys.length === 0) return;
  const { id } = pick(walk, keys);
  try {
    const { miniflare } = walk.edge.worker;
    await miniflare.unsafeEvictDurableObject('pixart-edge', 'ApiKey', { name: id });
    count(walk, 'evicted');
  } catch {
    // It is at work, or was not awake.
  }
}

interface AskOptions {
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
  /** With the key that the account began with. */
  readonly master?: boolean;
}

function ask(
  walk: Walk,
  account: string,
  method: string,
  path: string,
  { body, headers = {}, signal, master = false }: AskOptions,
): Promise<Response> {
  const own = walk.masters.get(account)!;
  const others = walk.keys.get(account)!;
  const key =
    master || others.length === 0 ? own : pick(walk, [own, ...others.map((it) => it.key)]);
  return fetch(walk.edge.url + path, {
    method,
    headers: {
      Authorization: `Bearer ${key}`,
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal !== undefined && { signal }),
  });
}

function pick<T>(walk: Walk, items: readonly T[]): T {
  return items[Math.floor(walk.random() * items.length)]!;
}

function count(walk: Walk, what: string): void {
  walk.counts[what] = (walk.counts[what] ?? 0) + 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runCommand('isolation', measureIsolation);
}
