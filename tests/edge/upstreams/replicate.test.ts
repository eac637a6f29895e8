/** The Replicate client in Node against the stand-in, which replays the shapes of the real API. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { ReplicateUpstream } from '../../../edge/upstreams/replicate.ts';
import { RetryBudget } from '../../../edge/upstreams/retry-budget.ts';
import { PredictionNews, RestError, type UpstreamEvent } from '../../../edge/upstreams/upstream.ts';
import { readXmp } from '../../helpers/read-xmp.ts';
import {
  REPLICATE_TOKEN,
  type ReplicateStandIn,
  startReplicate,
} from '../../helpers/replicate-stand-in.ts';

const VERSION = 'cd'.repeat(32);
const input = {
  prompt: 'a cactus',
  negative_prompt: '',
  seed: 7,
  width: 64,
  height: 48,
  num_inference_steps: 4,
  guidance_scale: 0,
  scheduler: 'lcm',
  num_outputs: 1,
  output_format: 'png',
  output_quality: 100,
  size_policy: 'fit',
  background: 'opaque',
} as const;

let hosted: ReplicateStandIn;
let background: Promise<unknown>[] = [];

beforeAll(async () => {
  hosted = await startReplicate();
});
afterAll(() => hosted[Symbol.asyncDispose]());
beforeEach(() => {
  background = [];
  hosted.records.length = 0;
  hosted.calls.length = 0;
  hosted.canceled.length = 0;
  Object.assign(hosted, {
    states: ['succeeded'],
    intercept: () => false,
    onCreated: () => false,
    output: ({ id }: { id: string }) => [`${new URL(hosted.url).origin}/files/${id}/out-0.png`],
  });
});

interface Options {
  model?: string;
  overrides?: Record<string, unknown>;
  webhookUrl?: string;
  news?: PredictionNews;
  signal?: AbortSignal;
  deadlineMs?: number;
  idleMs?: number;
}

function predict({
  model = 'owner/hosted',
  overrides = {},
  webhookUrl,
  news,
  signal = new AbortController().signal,
  deadlineMs = 20_000,
  idleMs = 3000,
}: Options = {}) {
  const upstream = new ReplicateUpstream({
    name: 'hosted',
    model,
    input: overrides,
    baseUrl: hosted.url,
    token: REPLICATE_TOKEN,
    webhookUrl,
    idleMs,
    retryBudget: new RetryBudget({ now: Date.now }),
    fetch: fetch as unknown as (request: Request) => Promise<Response>,
    now: Date.now,
    random: () => 0,
  });
  return upstream.predict({
    id: '11111111-2222-4333-8444-555555555555',
    model: 'pixart-edge/hosted',
    input,
    previews: 0,
    requestId: 'req_1',
    deadlineMs,
    recordBytesMax: 100_000,
    jobName: 'ab'.repeat(32),
    news,
    signal,
    background: (work) => background.push(work),
  });
}

async function collect(events: AsyncGenerator<UpstreamEvent>): Promise<UpstreamEvent[]> {
  const all: UpstreamEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

const failure = (events: AsyncGenerator<UpstreamEvent>) =>
  collect(events).then(
    () => expect.fail('it succeeded'),
    (error: ServiceError) => error,
  );

const creations = () => hosted.calls.filter(({ call }) => /^POST .*predictions$/.test(call)).length;

describe('ReplicateUpstream.predict()', () => {
  test('ReplicateUpstream.predict() creates once, looks until it is over, and marks the picture', async () => {
    hosted.states = ['starting', 'processing', 'succeeded'];
    const events = await collect(predict());
    expect(events.map(({ type }) => type)).toEqual(['accepted', 'completed']);
    const completed = events[1] as Extract<UpstreamEvent, { type: 'completed' }>;
    const { output, status, seed, metrics } = completed.prediction;
    expect([status, seed, metrics?.predict_time]).toEqual(['succeeded', 7, 0.25]);
    const bytes = Buffer.from(output![0]!.split(',')[1]!, 'base64');
    expect(readXmp(bytes)?.packet).toContain('trainedAlgorithmicMedia');
    expect(readXmp(bytes)?.packet).toContain('pixart-edge/hosted');
    expect(hosted.calls.map(({ call }) => call.replace(/[0-9a-f]{26}/, 'ID'))).toEqual([
      'POST /v1/models/owner/hosted/predictions',
      'GET /v1/predictions/ID',
      'GET /v1/predictions/ID',
      'GET /v1/predictions/ID',
      'GET /files/ID/out-0.png',
    ]);
    // The file is fetched without the token.
    expect(hosted.calls.map(({ auth }) => auth)).toEqual([true, true, true, true, false]);
    expect(hosted.records[0]).toMatchObject({ cancelAfter: '20s', webhook: undefined });
  });

  test('ReplicateUpstream.predict() sends the members that hosted models share, and what is configured', async () => {
    await collect(predict({ overrides: { guidance_scale: null, go_fast: true } }));
    expect(hosted.records[0]!.input).toEqual({
      prompt: 'a cactus',
      seed: 7,
      width: 64,
      height: 48,
      num_inference_steps: 4,
      num_outputs: 1,
      output_format: 'png',
      output_quality: 100,
      go_fast: true,
    });
  });

  test('ReplicateUpstream.predict() names a pinned version', async () => {
    await collect(predict({ model: `owner/hosted:${VERSION}` }));
    expect(hosted.records[0]).toMatchObject({ version: VERSION, model: undefined });
  });

  test('ReplicateUpstream.predict() adopts the prediction whose answer was lost, by its webhook', async () => {
    hosted.onCreated = (_, response) => response.destroy() !== undefined;
    const events = await collect(predict({ webhookUrl: 'https://edge.test/hooks/replicate' }));
    expect(events.at(-1)?.type).toBe('completed');
    expect([creations(), hosted.records.length]).toEqual([1, 1]);
    expect(hosted.records[0]!.webhook).toBe(
      `https://edge.test/hooks/replicate?job=${'ab'.repeat(32)}&run=11111111-2222-4333-8444-555555555555`,
    );
  });

  test('ReplicateUpstream.predict() adopts the prediction whose answer was lost, by its input', async () => {
    hosted.onCreated = (_, response) => response.destroy() !== undefined;
    expect((await collect(predict())).at(-1)?.type).toBe('completed');
    expect([creations(), hosted.records.length]).toEqual([1, 1]);
  });

  test('ReplicateUpstream.predict() adopts the prediction that a webhook has named', async () => {
    const news = new PredictionNews();
    hosted.onCreated = ({ id }, response) => {
      news.ring(id);
      response.destroy();
      return true;
    };
    hosted.intercept = ({ url, method }, response) => {
      if (url !== '/v1/predictions' || method !== 'GET') return false;
      response.writeHead(500).end();
      return true;
    };
    expect((await collect(predict({ news }))).at(-1)?.type).toBe('completed');
    expect(creations()).toBe(1);
  });

  test('ReplicateUpstream.predict() gives up, and creates no second one, when a lost creation is nowhere', async () => {
    hosted.intercept = ({ method }, response) =>
      method === 'POST' && response.destroy() !== undefined;
    expect(await failure(predict())).toMatchObject({ code: 'upstream_lost', retryable: true });
    expect(creations()).toBe(1);
  });

  test('ReplicateUpstream.predict() leaves the prediction of another run alone', async () => {
    const webhookUrl = 'https://edge.test/hooks/replicate';
    await collect(predict({ webhookUrl: `${webhookUrl}/other` }));
    hosted.intercept = ({ method }, response) =>
      method === 'POST' && response.destroy() !== undefined;
    expect(await failure(predict({ webhookUrl }))).toMatchObject({ code: 'upstream_lost' });
    await Promise.all(background);
    expect(hosted.canceled).toEqual([]);
  });

  test.each([
    [429, { 'Retry-After': '2' }, 'overloaded', 2000],
    [429, { 'Retry-After': '99999' }, 'overloaded', 60_000],
    [429, { 'Retry-After': '-1' }, 'overloaded', 1000],
    [429, { 'Retry-After': 'garbage' }, 'overloaded', 1000],
    [401, {}, 'model_unavailable', 1000],
    [402, {}, 'model_unavailable', 1000],
    [422, {}, 'upstream_invalid_response', undefined],
  ])(
    'ReplicateUpstream.predict() takes a creation refused with %i %j as %s',
    async (status, headers, code, ms) => {
      hosted.intercept = ({ method }, response) => {
        if (method !== 'POST') return false;
        response
          .writeHead(status, headers as Record<string, string>)
          .end('{"detail":"no","status":0}');
        return true;
      };
      const error = await failure(predict());
      expect(error).toMatchObject({ code, retryAfterMs: ms });
      expect(error instanceof RestError).toBe(code !== 'upstream_invalid_response');
      expect(hosted.calls).toHaveLength(1);
    },
  );

  test.each(['failed', 'canceled', 'aborted'])(
    'ReplicateUpstream.predict() ends when the prediction is %s, without its words',
    async (state) => {
      hosted.states = ['processing', state];
      const result = await collect(predict()).catch((error: ServiceError) => error);
      if (state === 'failed') {
        expect(result).toMatchObject({ code: 'upstream_invalid_response' });
        expect((result as ServiceError).detail).not.toContain('host-17');
      } else {
        expect(result).toContainEqual({ type: 'completed', prediction: { status: 'canceled' } });
      }
      expect(hosted.canceled).toEqual([]);
    },
  );

  test('ReplicateUpstream.predict() cannot use a state that it does not know', async () => {
    hosted.states = ['meditating'];
    expect(await failure(predict())).toMatchObject({ code: 'upstream_invalid_response' });
    await Promise.all(background);
    expect(hosted.canceled).toHaveLength(1);
  });

  test('ReplicateUpstream.predict() cancels when its caller leaves', async () => {
    hosted.states = ['processing'];
    const caller = new AbortController();
    const result = failure(predict({ signal: caller.signal }));
    await hosted.when(() => hosted.records[0]?.looks === 1);
    const reason = new Error('left');
    caller.abort(reason);
    expect(await result).toBe(reason);
    await Promise.all(background);
    expect(hosted.canceled).toEqual([hosted.records[0]!.id]);
  });

  test('ReplicateUpstream.predict() cancels what was created while its caller left', async () => {
    const caller = new AbortController();
    hosted.onCreated = () => {
      caller.abort(new Error('left'));
      return true;
    };
    await failure(predict({ signal: caller.signal }));
    await Promise.all(background);
    expect(hosted.canceled).toEqual([hosted.records[0]!.id]);
  });

  test('ReplicateUpstream.predict() says that a model is starting when it has not begun by the deadline', async () => {
    hosted.states = ['starting'];
    expect(await failure(predict({ deadlineMs: 1500 }))).toMatchObject({
      code: 'model_unavailable',
      retryAfterMs: 5000,
    });
    await Promise.all(background);
    expect(hosted.canceled).toHaveLength(1);
  });

  test('ReplicateUpstream.predict() ends at its deadline while the model works', async () => {
    hosted.states = ['processing'];
    expect(await failure(predict({ deadlineMs: 1500 }))).toMatchObject({
      code: 'deadline_exceeded',
    });
    await Promise.all(background);
    expect(hosted.canceled).toHaveLength(1);
  });

  test('ReplicateUpstream.predict() looks again after a look that failed, three times at most', async () => {
    let looks = 0;
    hosted.intercept = ({ url = '', method }, response) => {
      if (method !== 'GET' || !/predictions\/[a-z0-9]+$/.test(url)) return false;
      looks += 1;
      if (looks === 2) return false;
      response.writeHead(502).end();
      return true;
    };
    hosted.states = ['processing'];
    expect(await failure(predict())).toMatchObject({ code: 'upstream_invalid_response' });
    // One that failed, one that did not, three that did.
    expect(looks).toBe(5);
  });

  test('ReplicateUpstream.predict() looks at once when a webhook rings', async () => {
    const news = new PredictionNews();
    hosted.states = [...Array(19).fill('processing'), 'succeeded'];
    const events = collect(predict({ news }));
    await hosted.when(() => hosted.records[0]?.looks === 1);
    const startedMs = performance.now();
    for (let looks = 2; looks <= 20; looks += 1) {
      news.ring(hosted.records[0]!.id);
      await hosted.when(() => hosted.records[0]!.looks >= looks);
    }
    await events;
    // The pauses of so many looks would take 25 s.
    expect(performance.now() - startedMs).toBeLessThan(12_000);
  });

  test.each([
    ['on a host that is not the API’s', 'https://files.example/out.png'],
    ['with credentials', 'https://user:secret@replicate.delivery/out.png'],
    ['without encryption', 'http://replicate.delivery/out.png'],
    ['on another port', 'https://replicate.delivery:8443/out.png'],
    ['on a name that only ends alike', 'https://evilreplicate.delivery/out.png'],
    ['of a loopback address', 'http://127.0.0.1:1/out.png'],
    ['that is none', 'out.png'],
  ])('ReplicateUpstream.predict() fetches no picture from a URL %s', async (_, url) => {
    hosted.output = () => url;
    expect(await failure(predict())).toMatchObject({ code: 'upstream_invalid_response' });
    expect(hosted.calls.filter(({ call }) => call.includes('/files/'))).toEqual([]);
  });

  test('ReplicateUpstream.predict() takes a data URI as well', async () => {
    hosted.output = (record) =>
      `data:image/png;base64,${Buffer.from(hosted.file(record)).toString('base64')}`;
    expect((await collect(predict())).at(-1)?.type).toBe('completed');
  });

  test.each([
    ['two pictures', () => ['data:image/png;base64,AAAA', 'data:image/png;base64,AAAA']],
    ['nothing', () => null],
    ['an object', () => ({ url: 'x' })],
    ['bytes that are no picture', () => 'data:image/png;base64,AAAA'],
    ['more bytes than such a picture has', () => `data:image/png;base64,${'A'.repeat(200_000)}`],
  ])('ReplicateUpstream.predict() cannot use %s', async (_, output) => {
    hosted.output = output;
    expect(await failure(predict())).toMatchObject({ code: 'upstream_invalid_response' });
  });

  test('ReplicateUpstream.predict() tells half a picture from a whole one', async () => {
    const { file } = hosted;
    hosted.file = (record) => file(record).subarray(0, 60);
    const error = await failure(predict());
    hosted.file = file;
    expect(error.code).toBe('upstream_truncated');
  });
});
