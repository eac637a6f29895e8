/** The Cog client in Node against the stand-in; `job.test.ts` has the faults in the real runtime. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { CogUpstream } from '../../../edge/upstreams/cog.ts';
import { RetryBudget } from '../../../edge/upstreams/retry-budget.ts';
import type { UpstreamEvent } from '../../../edge/upstreams/upstream.ts';
import {
  pictureOf,
  send,
  startUpstream,
  toDataUri,
  type UpstreamStandIn,
} from '../../helpers/upstream.ts';

const input = {
  prompt: 'a',
  negative_prompt: '',
  seed: 1,
  width: 64,
  height: 64,
  num_inference_steps: 4,
  guidance_scale: 0,
  scheduler: 'lcm',
  num_outputs: 1,
  output_format: 'png',
  output_quality: 100,
  size_policy: 'fit',
  background: 'opaque',
} as const;

let standIn: UpstreamStandIn;
let connections = 0;

beforeAll(async () => {
  standIn = await startUpstream({ signingKey: 'k:0123456789abcdef' });
});
afterAll(() => standIn.close());
beforeEach(() => {
  standIn.behaviour = {};
  standIn.received.length = 0;
  connections = 0;
});

function predict({
  signal = new AbortController().signal,
  fetch: fetcher = fetch as unknown as (request: Request) => Promise<Response>,
  url = standIn.url,
  previews = 0,
  idleMs = 10_000,
  deadlineMs = 20_000,
}: {
  signal?: AbortSignal;
  fetch?: (request: Request) => Promise<Response>;
  url?: string;
  previews?: number;
  idleMs?: number;
  deadlineMs?: number;
} = {}) {
  const upstream = new CogUpstream({
    name: 'function',
    retryBudget: new RetryBudget({ now: Date.now }),
    url,
    signingKey: { id: 'k', secret: '0123456789abcdef' },
    idleMs,
    fetch: (request) => {
      connections += 1;
      return fetcher(request);
    },
    now: Date.now,
    random: () => 0,
  });
  return upstream.predict({
    id: 'p1',
    model: 'a/b',
    background: () => undefined,
    input,
    previews,
    requestId: 'req_1',
    traceparent: undefined,
    deadlineMs,
    recordBytesMax: 100_000,
    signal,
  });
}

async function collect(events: AsyncGenerator<UpstreamEvent>): Promise<string[]> {
  const types: string[] = [];
  for await (const event of events) types.push(event.type);
  return types;
}

const failure = (events: AsyncGenerator<UpstreamEvent>) =>
  collect(events).then(
    (types) => types.join(),
    (error: ServiceError) => error.code ?? error,
  );

describe('CogUpstream.predict()', () => {
  test('CogUpstream.predict() yields accepted, previews, and completed last', async () => {
    const image = toDataUri(pictureOf(input));
    standIn.behaviour = {
      during: (response) => send(response, 'preview', { index: 0, step: 1, steps: 4, image }),
    };
    expect(await collect(predict({ previews: 2 }))).toEqual(['accepted', 'preview', 'completed']);
    expect(standIn.received[0]).toMatchObject({ id: 'p1', input, outcome: 'completed' });
    expect(standIn.received[0]!.headers).toMatchObject({
      accept: 'text/event-stream',
      'pixart-previews': '2',
      'x-request-id': 'req_1',
    });
    expect(standIn.refused).toEqual([]);
  });

  test('CogUpstream.predict() tries a connection that fails once more, signed anew', async () => {
    let isFirst = true;
    const flaky = (request: Request) => {
      if (!isFirst) return fetch(request as never) as never;
      isFirst = false;
      return Promise.reject(new TypeError('connection refused'));
    };
    expect(await failure(predict({ fetch: flaky }))).toBe('accepted,completed');
    expect([connections, standIn.received.length]).toEqual([2, 1]);
  });

  test('CogUpstream.predict() gives up after the second failure', async () => {
    expect(await failure(predict({ url: 'http://127.0.0.1:1' }))).toBe('upstream_lost');
    expect(connections).toBe(2);
  });

  test('CogUpstream.predict() never repeats what the upstream has answered', async () => {
    standIn.behaviour = { before: (response) => void response.writeHead(500).end() };
    expect(await failure(predict())).toBe('upstream_invalid_response');
    const hasHead = Promise.withResolvers<void>();
    standIn.behaviour = {
      during: async (response) => {
        await hasHead.promise;
        response.destroy();
      },
    };
    const broken = (async () => {
      for await (const { type } of predict()) if (type === 'accepted') hasHead.resolve();
    })();
    await expect(broken).rejects.toMatchObject({ code: 'upstream_lost' });
    expect(connections).toBe(2);
  });

  test.each([
    ['HTML', 'text/html', '<html>'],
    ['nothing', 'application/json', ''],
    ['a plain prediction', 'application/json', '{"status":"succeeded"}'],
  ])('CogUpstream.predict() cannot use 200 with %s', async (_, type, body) => {
    standIn.behaviour = {
      before: (response) => void response.writeHead(200, { 'Content-Type': type }).end(body),
    };
    expect(await failure(predict())).toBe('upstream_invalid_response');
  });

  test.each([
    ['2', 2000],
    ['99999', 60_000],
    ['-1', 1000],
    ['soon', 1000],
    ['Wed, 21 Oct 2015 07:28:00 GMT', 1000],
  ])('CogUpstream.predict() reads Retry-After: %s as %i ms', async (value, ms) => {
    standIn.behaviour = {
      before: (response) => void response.writeHead(409, { 'Retry-After': value }).end('{}'),
    };
    const error = await collect(predict()).catch((caught: ServiceError) => caught);
    expect(error).toMatchObject({ code: 'overloaded', retryAfterMs: ms });
  });

  test('CogUpstream.predict() stops the work when its caller leaves, with the caller’s reason', async () => {
    standIn.behaviour = { during: () => new Promise(() => undefined) };
    const caller = new AbortController();
    const reason = new Error('left');
    const result = failure(predict({ signal: caller.signal }));
    await standIn.when(() => standIn.received.length === 1);
    caller.abort(reason);
    expect(await result).toBe(reason);
    await standIn.when(() => standIn.received[0]!.outcome === 'canceled');
  });

  test('CogUpstream.predict() sends nothing for a caller who has left already', async () => {
    expect(await failure(predict({ signal: AbortSignal.abort(new Error('gone')) }))).toEqual(
      new Error('gone'),
    );
    expect(standIn.received).toEqual([]);
  });

  test('CogUpstream.predict() stops the work when its reader stops reading', async () => {
    standIn.behaviour = { during: () => new Promise(() => undefined) };
    for await (const event of predict()) {
      expect(event.type).toBe('accepted');
      break;
    }
    await standIn.when(() => standIn.received[0]!.outcome === 'canceled');
  });

  test('CogUpstream.predict() ends at its deadline, whatever the heartbeat', async () => {
    standIn.behaviour = { during: () => new Promise(() => undefined) };
    expect(await failure(predict({ deadlineMs: 3000 }))).toBe('deadline_exceeded');
    await standIn.when(() => standIn.received[0]!.outcome === 'canceled');
  });

  test('CogUpstream.predict() ends when nothing comes for too long', async () => {
    standIn.behaviour = { heartbeat: false, during: () => new Promise(() => undefined) };
    expect(await failure(predict({ idleMs: 3000 }))).toBe('upstream_stalled');
    await standIn.when(() => standIn.received[0]!.outcome === 'canceled');
  });
});

describe('CogUpstream.isReady()', () => {
  test.each([
    ['READY', true],
    ['BUSY', true],
    ['STARTING', false],
    ['SETUP_FAILED', false],
    ['DEFUNCT', false],
  ])('CogUpstream.isReady() with %s is %s', async (status, expected) => {
    standIn.status = status;
    const upstream = new CogUpstream({
      name: 'function',
      retryBudget: new RetryBudget({ now: Date.now }),
      url: standIn.url,
      signingKey: undefined,
      idleMs: 1000,
      fetch: fetch as never,
      now: Date.now,
      random: () => 0,
    });
    expect(await upstream.isReady()).toBe(expected);
  });

  test('CogUpstream.isReady() is false when nobody is there', async () => {
    const upstream = new CogUpstream({
      name: 'function',
      retryBudget: new RetryBudget({ now: Date.now }),
      url: 'http://127.0.0.1:1',
      signingKey: undefined,
      idleMs: 1000,
      fetch: fetch as never,
      now: Date.now,
      random: () => 0,
    });
    expect(await upstream.isReady()).toBe(false);
  });
});
