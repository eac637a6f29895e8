/**
 * One execution for each distinct request, however many ask at once.
 *
 *     node bench/promises/one-execution.ts [--small] [--json] [--seed N]
 *
 * 1,000 identical requests × 20 different ones, by ten keys of one account; the function counts. Undisturbed: one execution
 * each. Where the job object is killed, at most one more for each kill; where the leader's connection is reset, still one.
 * Another account draws for itself, unless both say public.
 */
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import {
  generationBytes,
  type RunningEdge,
  rawRequest,
  readJson,
  startEdge,
} from '../../tests/helpers/edge.ts';
import { type CommandOptions, type Report, runCommand, seededRandom } from './command.ts';

const SIZES = { full: { requests: 1000, prompts: 20 }, small: { requests: 40, prompts: 4 } };
const KEYS = 10;
const DISTURBANCES = ['none', 'abort', 'leader reset', 'none'] as const;
/** Once everybody is on the way and the harm is done, a picture takes this long, so that requests meet. */
const DRAWING_MS = { full: 5000, small: 500 };

export async function measureOneExecution(options: CommandOptions): Promise<Report> {
  const form = options.small ? 'small' : 'full';
  const random = seededRandom(options.seed);
  await using edge = await startEdge({
    entry: 'tests/edge/helpers/faulty-worker.ts',
    accounts: [...Array(KEYS).fill('one'), 'other'],
    bindings: { GENERATIONS_PER_MINUTE: '1000000' },
  });
  const findings: string[] = [];
  let executions = 0;
  let aborts = 0;
  let refused = 0;
  let undisturbedMost = 0;
  const { requests, prompts } = SIZES[form];
  for (let i = 0; i < prompts; i += 1) {
    const disturbance = DISTURBANCES[i % DISTURBANCES.length]!;
    const prompt = `one picture, ${options.seed}, number ${i}`;
    const result = await askAtOnce(edge, {
      prompt,
      requests,
      disturbance,
      random,
      drawingMs: DRAWING_MS[form],
    });
    executions += result.executions;
    aborts += result.aborts;
    refused += result.refused;
    if (result.aborts === 0) undisturbedMost = Math.max(undisturbedMost, result.executions);
    if (result.executions > 1 + result.aborts || result.executions < 1) {
      findings.push(`${disturbance}: ${result.executions} executions, ${result.aborts} aborts`);
    }
    if (result.digests !== 1) findings.push(`${disturbance}: ${result.digests} different answers`);
    if (result.refused > requests / 100) findings.push(`${disturbance}: ${result.refused} refused`);
    if (result.untyped > 0) findings.push(`${disturbance}: ${result.untyped} without a code`);
    options.progress(`${i + 1} of ${prompts}: ${disturbance}, ${result.executions} executions`);
  }
  edge.upstream.behaviour = {};
  const separate = await countAccounts(edge, {});
  const shared = await countAccounts(edge, { visibility: 'public' });
  if (separate !== 2) findings.push(`two accounts: ${separate} executions`);
  if (shared !== 1) findings.push(`two accounts, public: ${shared} executions`);
  return {
    kept: findings.length === 0,
    figures: {
      requests: requests * prompts,
      executions,
      'most executions of an undisturbed request': undisturbedMost,
      aborts,
      'refused with a code': refused,
      'two accounts': separate,
      'two accounts, public': shared,
    },
    findings,
  };
}

interface Asked {
  readonly executions: number;
  readonly aborts: number;
  /** Different pictures among the answers. */
  readonly digests: number;
  readonly refused: number;
  readonly untyped: number;
}

async function askAtOnce(
  edge: RunningEdge,
  {
    prompt,
    requests,
    disturbance,
    random,
    drawingMs,
  }: {
    prompt: string;
    requests: number;
    disturbance: (typeof DISTURBANCES)[number];
    random: () => number;
    drawingMs: number;
  },
): Promise<Asked> {
  const { upstream } = edge;
  const before = upstream.received.length;
  const body = { prompt };
  const drawn = Promise.withResolvers<void>();
  upstream.behaviour = { during: () => drawn.promise };
  // The default key is of another account: these two have to be of that of the others.
  const streamed = generationBytes({ ...edge, key: edge.keys[0]! }, { ...body, stream: true });
  const leader = rawRequest(edge.url, streamed);
  await upstream.when(() => upstream.received.length > before);
  const follower = rawRequest(edge.url, streamed);
  await follower.has(/: accepted/);
  const answers = Array.from({ length: requests }, () =>
    ask(edge, body, edge.keys[Math.floor(random() * KEYS)]!),
  );
  let aborts = 0;
  if (disturbance === 'abort') {
    const url = `${edge.url}/_abort?prompt=${encodeURIComponent(prompt)}`;
    if ((await fetch(url, { method: 'POST' })).ok) aborts += 1;
  }
  if (disturbance === 'leader reset') leader.socket.resetAndDestroy();
  setTimeout(drawn.resolve, drawingMs);
  const results = await Promise.all(answers);
  for (const { socket } of [leader, follower]) socket.destroy();
  const digests = new Set(results.map(({ digest }) => digest).filter(Boolean));
  return {
    executions: upstream.received.length - before,
    aborts,
    digests: digests.size,
    refused: results.filter(({ code }) => code !== undefined).length,
    untyped: results.filter(({ code, digest }) => code === undefined && digest === undefined)
      .length,
  };
}

async function ask(
  edge: RunningEdge,
  body: object,
  key: string,
): Promise<{ digest?: string; code?: string }> {
  try {
    const response = await edge.generate(body, { headers: { Authorization: `Bearer ${key}` } });
    const answer = await readJson(response);
    if (response.status !== 200) return { code: answer.code };
    const bytes = Buffer.from(answer.data[0].b64_json, 'base64');
    return { digest: createHash('sha256').update(bytes).digest('hex') };
  } catch {
    // A cut connection is neither a picture nor a refusal.
    return {};
  }
}

/** Executions that the same request costs when two accounts send it. */
async function countAccounts(edge: RunningEdge, more: object): Promise<number> {
  const before = edge.upstream.received.length;
  const body = { prompt: `a picture of two accounts ${JSON.stringify(more)}`, ...more };
  await Promise.all([ask(edge, body, edge.keys[0]!), ask(edge, body, edge.keys.at(-1)!)]);
  return edge.upstream.received.length - before;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runCommand('one execution for each distinct request', measureOneExecution);
}
