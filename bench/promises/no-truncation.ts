/**
 * No silent truncation: whenever the function dies, a caller has a whole picture or one error, and never half of one that
 * looks whole.
 *
 *     node bench/promises/no-truncation.ts [--small] [--json] [--seed N]
 *
 * The function is a process that is killed (`kill -9`) at 1,000 random moments of a picture's life, a fifth of them stopped
 * instead, with five kinds of callers waiting: the `openai` client with and without streaming, curl with and without, our SDK.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import OpenAI, { APIError } from 'openai';
import { PixartEdge, PixartError } from '#shared/client/index.ts';
import { SseDecoder } from '#shared/sse.ts';
import { SIGNING_KEY, startEdge } from '../../tests/helpers/edge.ts';
import { KillableFunction } from '../../tests/helpers/killable-function.ts';
import { type CommandOptions, type Report, runCommand, seededRandom } from './command.ts';

const ROUNDS = { full: 200, small: 3 };
const IDLE_MS = 2000;
const DEADLINE_MS = 10_000;
const STEP_MS = 40;
/** A picture takes about this long; moments are chosen a little beyond it on both sides. */
const LIFE_MS = STEP_MS * 4 + STEP_MS * 2;
const HUNG_MS = DEADLINE_MS + 2000;
const STOPPED_SHARE = 0.2;

/** What a caller was left with. */
type Outcome = 'picture' | `error ${string}`;

interface Access {
  readonly url: string;
  readonly key: string;
  readonly prompt: string;
}

/** Each reports a picture only after its digest was checked, and throws where it got neither that nor a typed error. */
const CLIENTS: Readonly<Record<string, (access: Access) => Promise<Outcome>>> = {
  openai: async ({ url, key, prompt }) => {
    const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
    return openAiOutcome(async () => {
      const { data } = await client.images.generate({ prompt });
      return data![0] as { b64_json: string; id: string };
    });
  },
  'openai, streaming': async ({ url, key, prompt }) => {
    const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
    return openAiOutcome(async () => {
      const events = await client.images.generate({ prompt, stream: true });
      let picture: { b64_json: string; id: string } | undefined;
      for await (const event of events) {
        if (event.type === 'image_generation.completed') picture = event as never;
      }
      if (picture === undefined) throw new Error('the stream ended as if it were whole');
      return picture;
    });
  },
  curl: async (access) => {
    const { text, code } = await curl(access, false);
    if (code !== 0) throw new Error(`curl ended with ${code}`);
    const answer = JSON.parse(text);
    if (answer.data === undefined) return `error ${typed(answer.code)}`;
    checkDigest(answer.data[0]);
    return 'picture';
  },
  'curl, streaming': async (access) => {
    const { text } = await curl(access, true);
    if (text.startsWith('{')) return `error ${typed(JSON.parse(text).code)}`;
    const ends = new SseDecoder({ bytesMax: 1e7 })
      .push(new TextEncoder().encode(text))
      .filter((item) => item.kind === 'event')
      .filter(({ event }) => event === 'error' || event === 'image_generation.completed');
    if (ends.length !== 1) throw new Error(`${ends.length} ends`);
    const { event, data } = ends[0]!;
    const parsed = JSON.parse(data);
    if (event === 'error') return `error ${typed(parsed.error.reason)}`;
    checkDigest(parsed);
    return 'picture';
  },
  SDK: async ({ url, key, prompt }) => {
    const client = new PixartEdge({ baseURL: url, apiKey: key, maxRetries: 0 });
    try {
      for await (const event of client.stream({ prompt })) {
        if (event.type !== 'image') continue;
        await event.image.bytes();
        return 'picture';
      }
    } catch (error) {
      if (!(error instanceof PixartError)) throw error;
      return `error ${error.name}`;
    }
    throw new Error('the stream ended as if it were whole');
  },
};

export async function measureTruncation(options: CommandOptions): Promise<Report> {
  const form = options.small ? 'small' : 'full';
  const random = seededRandom(options.seed);
  await using upstream = new KillableFunction({ SIGNING_KEY, STEP_MS: String(STEP_MS) });
  await upstream.start();
  await using edge = await startEdge({
    gpuUrl: upstream.url,
    bindings: { UPSTREAM_IDLE_MS: String(IDLE_MS), JOB_DEADLINE_MS: String(DEADLINE_MS) },
  });
  const counts = new Map<string, number>();
  const findings: string[] = [];
  let moments = 0;
  for (let round = 0; round < ROUNDS[form]; round += 1) {
    const waiting = Object.entries(CLIENTS).map(async ([name, client]) => {
      const access = { ...edge, prompt: `killed ${options.seed} ${round} ${name}` };
      try {
        return [name, await inTime(client(access))] as const;
      } catch (error) {
        findings.push(`round ${round}, ${name}: ${(error as Error).message}`);
        return [name, 'broken'] as const;
      }
    });
    await sleep(random() * (LIFE_MS + 200));
    moments += waiting.length;
    if (random() < STOPPED_SHARE) {
      upstream.signal('SIGSTOP');
      const outcomes = await Promise.all(waiting);
      for (const outcome of outcomes) count(counts, outcome);
      upstream.signal('SIGCONT');
    } else {
      await upstream.kill();
      for (const outcome of await Promise.all(waiting)) count(counts, outcome);
    }
    await upstream.kill();
    await upstream.start();
    await closeCircuit(edge);
    options.progress(`${round + 1} of ${ROUNDS[form]} ${Math.round(performance.now())}`);
  }
  return {
    kept: findings.length === 0,
    figures: {
      moments,
      ...Object.fromEntries(counts),
      'looked whole and were not': findings.length,
    },
    findings: findings.slice(0, 20),
  };
}

function count(counts: Map<string, number>, [name, outcome]: readonly [string, string]): void {
  const key = `${name}: ${outcome === 'picture' ? 'pictures' : outcome === 'broken' ? outcome : 'errors'}`;
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Waits until the edge draws again: deaths in a row open its circuit. */
async function closeCircuit(edge: { generate(body: unknown): Promise<Response> }): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    const response = await edge.generate({ prompt: `well again ${performance.now()}` });
    await response.body?.cancel();
    if (response.status === 200) return;
    if (attempt > 300) throw new Error('the edge does not find its function again');
    await sleep(200);
  }
}

async function openAiOutcome(
  draw: () => Promise<{ b64_json: string; id: string }>,
): Promise<Outcome> {
  try {
    checkDigest(await draw());
    return 'picture';
  } catch (error) {
    if (!(error instanceof APIError)) throw error;
    return `error ${error.code ?? error.name}`;
  }
}

function checkDigest({ b64_json: base64, id }: { b64_json: string; id: string }): void {
  const bytes = Buffer.from(base64, 'base64');
  const digest = createHash('sha256').update(bytes).digest('hex');
  if (digest !== id) throw new Error('a picture whose digest is another');
}

function typed(code: unknown): string {
  if (typeof code !== 'string') throw new Error('an error without a code');
  return code;
}

function curl(
  { url, key, prompt }: Access,
  stream: boolean,
): Promise<{ text: string; code: number | null }> {
  const child = spawn('curl', [
    '--silent',
    '--no-buffer',
    '--header',
    `Authorization: Bearer ${key}`,
    '--header',
    'Content-Type: application/json',
    '--data',
    JSON.stringify({ prompt, stream }),
    `${url}/v1/images/generations`,
  ]);
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ text: Buffer.concat(chunks).toString(), code }));
  });
}

/** @throws when a caller is left hanging */
async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing after ${HUNG_MS} ms`)), HUNG_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runCommand('no silent truncation', measureTruncation);
}
