/** Replicate as the only upstream of the real Worker, with its webhooks; the stand-in replays the real API's shapes. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startWorker } from '../../../scripts/worker-runtime.ts';
import { readEvents, readJson } from '../../helpers/edge.ts';
import { MODEL } from '../../helpers/model.ts';
import { readXmp } from '../../helpers/read-xmp.ts';
import {
  type HostedRecord,
  REPLICATE_TOKEN,
  type ReplicateStandIn,
  signDelivery,
  startReplicate,
  WEBHOOK_SECRET,
} from '../../helpers/replicate-stand-in.ts';

let hosted: ReplicateStandIn;
let worker: Awaited<ReturnType<typeof startWorker>>;
const log: string[] = [];
let count = 0;
function newPrompt(): string {
  count += 1;
  return `a hosted cactus, number ${count}`;
}

beforeAll(async () => {
  hosted = await startReplicate();
  worker = await startWorker({
    gpuUrl: 'http://127.0.0.1:1',
    onLog: (line) => log.push(line),
    bindings: {
      AUTH_MODE: 'none',
      MODELS: JSON.stringify([MODEL]),
      GENERATIONS_PER_MINUTE: '10000',
      GENERATIONS_BURST: '1000',
      PUBLIC_ORIGIN: 'https://edge.test',
      UPSTREAMS: JSON.stringify([{ name: 'hosted', replicate: 'owner/hosted' }]),
      REPLICATE_API_URL: hosted.url,
      REPLICATE_API_TOKEN: REPLICATE_TOKEN,
      REPLICATE_WEBHOOK_SECRET: WEBHOOK_SECRET,
    },
  });
});
afterAll(async () => {
  await worker?.dispose();
  await hosted?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  hosted.records.length = 0;
  hosted.canceled.length = 0;
  hosted.states = ['succeeded'];
  hosted.onCreated = () => false;
});

const generate = (body: object, init: RequestInit = {}) =>
  fetch(`${worker.url}/v1/images/generations`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    ...init,
  });

/** Sends a delivery to the URL that the prediction was created with. */
async function deliver(
  { webhook, id }: HostedRecord,
  { body = JSON.stringify({ id, status: 'succeeded' }), headers = signDelivery(body) } = {},
) {
  const { pathname, search } = new URL(webhook!);
  const response = await fetch(`${worker.url}${pathname}${search}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body,
  });
  return [response.status, (await readJson(response)).outcome ?? 'refused'];
}

describe('a Worker whose upstream is Replicate', () => {
  test('a Worker whose upstream is Replicate draws, marks and caches', async () => {
    const body = { prompt: newPrompt(), seed: 5 };
    const first = await readJson(await generate(body));
    const bytes = Buffer.from(first.data[0].b64_json, 'base64');
    expect(readXmp(bytes)?.packet).toContain('trainedAlgorithmicMedia');
    const again = await readJson(await generate(body));
    expect(again.data[0]).toMatchObject({ b64_json: first.data[0].b64_json, cache: 'hit' });
    expect(hosted.records).toHaveLength(1);
    expect(log.join()).not.toContain(REPLICATE_TOKEN);
  });

  test('a Worker whose upstream is Replicate cancels there when the last stream leaves', async () => {
    hosted.states = ['processing'];
    const caller = new AbortController();
    const response = await generate(
      { prompt: newPrompt(), stream: true },
      { signal: caller.signal },
    );
    await hosted.when(() => (hosted.records[0]?.looks ?? 0) > 0);
    caller.abort();
    await response.text().catch(() => '');
    await hosted.when(() => hosted.canceled.length === 1);
    expect(hosted.canceled).toEqual([hosted.records[0]!.id]);
  });

  test('a Worker whose upstream is Replicate passes a throttle on and asks nothing before its time', async () => {
    const before = hosted.calls.length;
    hosted.intercept = ({ method }, response) => {
      if (method !== 'POST') return false;
      response.writeHead(429, { 'Retry-After': '2' }).end('{"detail":"throttled","status":429}');
      return true;
    };
    const responses = [
      await generate({ prompt: newPrompt() }),
      await generate({ prompt: newPrompt() }),
    ];
    hosted.intercept = () => false;
    expect(responses.map(({ status }) => status)).toEqual([503, 503]);
    expect((await readJson(responses[0]!)).code).toBe('overloaded');
    expect(responses[0]!.headers.get('Retry-After')).toBe('2');
    expect(hosted.calls.length - before).toBe(1);
    const served = await expect.poll(async () => (await generate({ prompt: newPrompt() })).status);
    await served.toBe(200);
    const [refused, next] = hosted.calls.slice(before);
    expect(next!.atMs - refused!.atMs).toBeGreaterThanOrEqual(2000);
  });
});

describe('/hooks/replicate', () => {
  /** A prediction under way, and the answer of whoever waits for it. */
  async function begin() {
    hosted.states = ['processing'];
    const answer = generate({ prompt: newPrompt(), stream: true }).then(readEvents);
    await hosted.when(() => hosted.records[0]?.looks === 1);
    return { record: hosted.records[0]!, answer };
  }

  test('/hooks/replicate is told to Replicate, by job and run', async () => {
    const { record, answer } = await begin();
    expect(record.webhook).toMatch(
      /^https:\/\/edge\.test\/hooks\/replicate\?job=[0-9a-f]{64}&run=[0-9a-f-]{36}$/,
    );
    hosted.states = ['succeeded'];
    expect((await answer).at(-1)?.event).toBe('image_generation.completed');
  });

  test('/hooks/replicate makes the job look, once for each delivery, and believes nothing', async () => {
    const { record, answer } = await begin();
    // It says succeeded; Replicate itself does not.
    const body = JSON.stringify({ id: record.id, status: 'succeeded', output: ['data:,forged'] });
    const headers = signDelivery(body);
    expect(await deliver(record, { body, headers })).toEqual([200, 'taken']);
    expect(await deliver(record, { body, headers })).toEqual([200, 'repeated']);
    hosted.states = ['succeeded'];
    expect((await answer).at(-1)?.event).toBe('image_generation.completed');
    expect(await deliver(record)).toEqual([202, 'unknown']);
  });

  test('/hooks/replicate may be called before the creation is answered', async () => {
    const early: Promise<unknown>[] = [];
    hosted.onCreated = (record, response) => {
      early.push(deliver(record));
      response.destroy();
      return true;
    };
    const response = await generate({ prompt: newPrompt() });
    expect(response.status).toBe(200);
    expect(await Promise.all(early)).toEqual([[200, 'taken']]);
    expect(hosted.records).toHaveLength(1);
  });

  test('/hooks/replicate drops what concerns no job', async () => {
    const { record, answer } = await begin();
    const elsewhere = (search: string) => ({
      ...record,
      webhook: `https://edge.test/hooks/replicate${search}`,
    });
    const run = '?job=0000000000000000&run=11111111-2222-4333-8444-555555555555';
    expect(await deliver(elsewhere(run))).toEqual([202, 'unknown']);
    expect(await deliver(elsewhere(''))).toEqual([202, 'unknown']);
    expect(await deliver(record, { body: 'no JSON' })).toEqual([202, 'unknown']);
    hosted.states = ['succeeded'];
    await answer;
  });

  test('/hooks/replicate refuses whatever is not signed, and what is too old', async () => {
    const { record, answer } = await begin();
    const body = JSON.stringify({ id: record.id });
    const refused = async (headers: Record<string, string>) =>
      (await deliver(record, { body, headers }))[0];
    expect(await refused({})).toBe(401);
    expect(await refused(signDelivery(`${body} `))).toBe(401);
    expect(await refused(signDelivery(body, { offsetSeconds: -400 }))).toBe(401);
    hosted.states = ['succeeded'];
    await answer;
  });
});
