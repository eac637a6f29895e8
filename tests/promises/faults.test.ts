/**
 * The fault matrix: each fault injected for real, four rules checked after every one of them.
 *
 * 1. A caller gets one outcome: a complete picture whose digest checks, or one error with a code; a stream has one end.
 * 2. Nothing stays running at the function.
 * 3. Nothing wrong is stored: the same request succeeds afterwards, with the right picture.
 * 4. No answer holds a secret, a stack trace or an address.
 *
 * Faults of one module alone are tested beside it: `upstreams/` has Replicate (a lost creation, throttling, webhooks that come
 * early, twice or late), `image-store.test.ts` reads that fail or lie, `idempotency` and `api-keys` theirs.
 */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type RunningEdge, readEvents, readJson, SIGNING_KEY, startEdge } from '../helpers/edge.ts';
import {
  type Behaviour,
  completedOf,
  pictureOf,
  type ReceivedPrediction,
  send,
  toDataUri,
} from '../helpers/upstream.ts';

let edge: RunningEdge;
let count = 0;

beforeAll(async () => {
  edge = await startEdge({
    entry: 'tests/edge/helpers/faulty-worker.ts',
    bindings: { UPSTREAM_IDLE_MS: '2000', JOB_DEADLINE_MS: '15000' },
  });
});
afterAll(() => edge?.[Symbol.asyncDispose]());
afterEach(async () => {
  await setFaults(NO_FAULTS);
  Object.assign(edge.upstream, { behaviour: {}, clockOffsetMs: 0 });
  edge.upstream.received.length = 0;
});

const forever = () => new Promise<void>(() => undefined);

interface Outcome {
  readonly status: number;
  /** Our code; undefined for a picture. */
  readonly code: string | undefined;
  readonly retryAfter: string | null;
  readonly stored: string | undefined;
}

/** One request, with rules 1 and 4 checked. */
async function ask(body: { prompt: string }, { stream }: { stream: boolean }): Promise<Outcome> {
  const response = await edge.generate({ ...body, stream });
  const retryAfter = response.headers.get('Retry-After');
  const { status } = response;
  if (!stream || status !== 200) {
    const text = await response.text();
    checkSecrets(text);
    const answer = JSON.parse(text);
    if (status === 200) checkPicture(answer.data[0].b64_json, answer.data[0].id);
    else expect(answer).toMatchObject({ code: expect.any(String), request_id: expect.any(String) });
    return { status, code: answer.code, retryAfter, stored: answer.data?.[0]?.cache };
  }
  const events = await readEvents(response);
  checkSecrets(JSON.stringify(events));
  const ends = events.filter(({ event }) => event === 'error' || event.endsWith('.completed'));
  expect(ends).toHaveLength(1);
  expect(events.at(-1)).toBe(ends[0]);
  const { event, data } = ends[0]!;
  if (event !== 'error') checkPicture(data.b64_json, data.id);
  return { status, code: data.error?.reason, retryAfter, stored: data.cache };
}

function checkPicture(base64: string, digest: string): void {
  const bytes = Buffer.from(base64, 'base64');
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(digest);
}

function checkSecrets(text: string): void {
  const secret = SIGNING_KEY.split(':')[1]!;
  const { host } = new URL(edge.upstream.url);
  for (const canary of [secret, edge.key, host, 'node_modules', '.ts:']) {
    expect(text).not.toContain(canary);
  }
}

/** Rules 2 and 3: everything has ended at the function, and the same request gets its picture. */
async function checkAfter(body: { prompt: string }): Promise<void> {
  const { upstream } = edge;
  await upstream.when(() => upstream.received.every(({ outcome }) => outcome !== 'running'));
  await setFaults(NO_FAULTS);
  Object.assign(upstream, { behaviour: {}, clockOffsetMs: 0 });
  const answer = await readJson(await edge.generate(body));
  expect(answer.code).toBeUndefined();
  const { input } = upstream.received.at(-1)!;
  const expected = Buffer.from(pictureOf({ ...input, prompt: body.prompt })).toString('base64');
  expect(answer.data[0].b64_json).toBe(expected);
  upstream.received.length = 0;
}

const NO_FAULTS = { put: 'none', cache: 'none', job: 'none', key: 'none' };

async function setFaults(faults: Record<string, string>): Promise<void> {
  await fetch(`${edge.url}/_faults`, { method: 'POST', body: JSON.stringify(faults) });
}

const newBody = () => {
  count += 1;
  return { prompt: `a fault, number ${count}` };
};

type Answer = (response: ServerResponse, received: ReceivedPrediction) => Promise<void> | void;
const instead = (answer: Answer): Behaviour => ({ before: answer });
const midway = (answer: Answer, more: Behaviour = {}): Behaviour => ({ ...more, during: answer });
const refuse = (status: number, headers: Record<string, string> = {}, body = '{}') =>
  instead((response) => void response.writeHead(status, headers).end(body));
const stream = (bytes: string | Uint8Array) =>
  midway((response) => {
    response.end(bytes);
  });
const complete = (change: (data: Record<string, unknown>) => Record<string, unknown>) => ({
  result: change,
});

/** Fault, behaviour of the function, codes that the caller may see; undefined is a picture. */
const cells: [string, Behaviour, readonly (string | undefined)[]][] = [
  [
    'F1 the connection breaks while the model draws',
    midway((r) => void r.socket?.resetAndDestroy()),
    ['upstream_lost'],
  ],
  [
    'F2 the connection breaks in the middle of the picture',
    midway((response, received) => {
      const whole = `event: completed\ndata: ${JSON.stringify(completedOf(received))}\n\n`;
      response.end(whole.slice(0, whole.length / 2));
    }),
    ['upstream_truncated'],
  ],
  ['F5 the function accepts and never answers', instead(forever), ['deadline_exceeded']],
  [
    'F6 the function sends a head and falls silent',
    midway(forever, { heartbeat: false }),
    ['upstream_stalled'],
  ],
  [
    'F7 the function drips a byte at a time',
    midway(
      (response) => {
        const timer = setInterval(() => response.write(':'), 300);
        response.on('close', () => clearInterval(timer));
        return forever();
      },
      { heartbeat: false },
    ),
    ['deadline_exceeded'],
  ],
  ['F8 the function answers 500', refuse(500), ['upstream_invalid_response']],
  ['F8 the function answers 502', refuse(502), ['upstream_invalid_response']],
  ['F8 the function answers 503', refuse(503), ['model_unavailable']],
  ['F8 the function is full', refuse(409, { 'Retry-After': '1' }), ['overloaded']],
  [
    'F10 200 with a web page',
    refuse(200, { 'Content-Type': 'text/html' }, '<html>'),
    ['upstream_invalid_response'],
  ],
  ['F10 200 with nothing', refuse(200, {}, ''), ['upstream_invalid_response']],
  [
    'F10 a prediction with wrong types',
    complete((data) => ({ ...data, output: 7 })),
    ['upstream_invalid_response'],
  ],
  [
    'F11 two megabytes without a line end',
    stream(`data: ${'x'.repeat(2_000_000)}`),
    ['upstream_invalid_response'],
  ],
  [
    'F11 a hundred thousand tiny events and no end',
    stream('data: 1\n\n'.repeat(100_000)),
    ['upstream_lost'],
  ],
  [
    'F11 bytes that are not UTF-8',
    stream(Buffer.from([0xff, 0xfe, 0x0a, 0x0a])),
    ['upstream_invalid_response'],
  ],
  ['F11 NUL and an id that holds one', stream('id: a\0b\ndata: \0\n\n'), ['upstream_lost']],
  ['F11 a missing end', stream('event: start\ndata: {}\n\n'), ['upstream_lost']],
  [
    'F11 line ends of CR only, a byte order mark and retry: 1e99, and yet a picture',
    midway((response, received) => {
      const data = JSON.stringify(completedOf(received));
      response.end(`\ufeffretry: 1e99\r\revent: completed\rdata: ${data}\r\r`);
      received.outcome = 'completed';
    }),
    ['upstream_truncated', undefined],
  ],
  [
    'F11 two ends',
    midway((response, received) => {
      send(response, 'completed', completedOf(received));
      send(response, 'completed', { status: 'failed', code: 'internal_error' });
      response.end();
      received.outcome = 'completed';
    }),
    [undefined],
  ],
  [
    'F12 another digest',
    complete((data) => ({ ...data, output_sha256: ['0'.repeat(64)] })),
    ['upstream_mismatch'],
  ],
  [
    'F12 the answer to another request',
    complete((data) => ({ ...data, id: 'another' })),
    ['upstream_mismatch'],
  ],
  [
    'F12 the picture of another request',
    complete((data) => {
      const other = pictureOf({ width: 64, height: 64, seed: 1, prompt: 'other' });
      return { ...data, output: [toDataUri(other)], output_sha256: null };
    }),
    ['upstream_mismatch'],
  ],
  [
    'F15 the model runs out of memory',
    complete(() => ({
      status: 'failed',
      code: 'out_of_memory',
      error: 'Too large.',
      output: null,
    })),
    ['out_of_memory'],
  ],
];

describe('a fault of the function', { timeout: 120_000 }, () => {
  test.each(cells)('%s', async (_, behaviour, expected) => {
    for (const stream of [false, true]) {
      const body = newBody();
      edge.upstream.behaviour = behaviour;
      const { code } = await ask(body, { stream });
      expect(expected).toContain(code);
      await checkAfter(body);
    }
  });

  test.each([-120_000, 120_000])('F28 its clock is %i ms away', async (clockOffsetMs) => {
    const body = newBody();
    edge.upstream.clockOffsetMs = clockOffsetMs;
    expect((await ask(body, { stream: false })).code).toBe('upstream_invalid_response');
    expect(edge.upstream.refused.at(-1)).toBe('clock_skew');
    await checkAfter(body);
  });

  test('F35 a refusal of its own reaches all who wait, from one execution', async () => {
    const open = Promise.withResolvers<void>();
    const detail = [{ loc: ['body', 'input', 'width'], msg: 'is not drawn' }];
    edge.upstream.behaviour = instead(async (response) => {
      await open.promise;
      response.writeHead(422).end(JSON.stringify({ detail }));
    });
    const body = newBody();
    const asked = Array.from({ length: 20 }, () => ask(body, { stream: false }));
    await edge.upstream.when(() => edge.upstream.received.length > 0);
    open.resolve();
    const codes = (await Promise.all(asked)).map(({ code }) => code);
    expect(new Set(codes)).toEqual(new Set(['invalid_parameter']));
    expect(edge.upstream.received.length).toBeLessThanOrEqual(2);
    await checkAfter(body);
  });

  test('F36 a failure that passes is mended for those who wait, by one more execution', async () => {
    const open = Promise.withResolvers<void>();
    let runs = 0;
    edge.upstream.behaviour = midway(async (response) => {
      runs += 1;
      if (runs > 1) return;
      await open.promise;
      response.socket?.resetAndDestroy();
    });
    const body = newBody();
    // Their heads say that they wait: the leader and its followers.
    const responses = await Promise.all(
      Array.from({ length: 8 }, () => edge.generate({ ...body, stream: true })),
    );
    open.resolve();
    const ends = await Promise.all(responses.map(async (one) => (await readEvents(one)).at(-1)!));
    for (const { data } of ends) checkPicture(data.b64_json, data.id);
    expect(edge.upstream.received.length).toBe(2);
    await checkAfter(body);
  });

  test('F38 what is beyond its capacity is refused at once with a hint', async () => {
    const open = Promise.withResolvers<void>();
    let running = 0;
    edge.upstream.behaviour = {
      before: (response) => {
        running += 1;
        if (running > 4) response.writeHead(409, { 'Retry-After': '1' }).end('{}');
      },
      during: () => open.promise,
    };
    const asked = Array.from({ length: 16 }, () => ask(newBody(), { stream: false }));
    await edge.upstream.when(() => running >= 16);
    open.resolve();
    const outcomes = await Promise.all(asked);
    const refused = outcomes.filter(({ code }) => code === 'overloaded');
    expect([outcomes.filter(({ status }) => status === 200).length, refused.length]).toEqual([
      4, 12,
    ]);
    expect(new Set(refused.map(({ retryAfter }) => retryAfter))).toEqual(new Set(['1']));
    await checkAfter(newBody());
  });
});

describe('a fault of the storage', { timeout: 120_000 }, () => {
  test.each(['fail', 'hang', 'throttle', 'partial'])(
    'F20 the bucket cannot be written (%s): the picture is delivered all the same',
    async (put) => {
      for (const stream of [false, true]) {
        const body = newBody();
        await setFaults({ ...NO_FAULTS, put });
        expect((await ask(body, { stream })).code).toBeUndefined();
        expect((await ask(body, { stream })).code).toBeUndefined();
        await checkAfter(body);
      }
    },
  );

  test.each(['fail', 'forget'])('F22 the data centre’s cache does not work (%s)', async (cache) => {
    const body = newBody();
    await setFaults({ ...NO_FAULTS, cache });
    expect((await ask(body, { stream: false })).code).toBeUndefined();
    expect((await ask(body, { stream: true })).stored).toBe('hit');
    await checkAfter(body);
  });
});

describe('a fault of an object', { timeout: 120_000 }, () => {
  test('F25 the job object is killed with followers waiting', async () => {
    const body = newBody();
    const open = Promise.withResolvers<void>();
    edge.upstream.behaviour = midway(() => open.promise);
    const asked = Array.from({ length: 6 }, () => ask(body, { stream: true }));
    await edge.upstream.when(() => edge.upstream.received.length === 1);
    await fetch(`${edge.url}/_abort?prompt=${encodeURIComponent(body.prompt)}`, { method: 'POST' });
    await edge.upstream.when(() => edge.upstream.received.length === 2);
    open.resolve();
    const codes = (await Promise.all(asked)).map(({ code }) => code);
    expect(codes).toEqual(Array(6).fill(undefined));
    expect(edge.upstream.received.length).toBe(2);
    await checkAfter(body);
  });

  test('F26 an overloaded job object is left alone', async () => {
    const body = newBody();
    await setFaults({ ...NO_FAULTS, job: 'overloaded' });
    expect(await ask(body, { stream: false })).toMatchObject({
      code: 'overloaded',
      retryAfter: '1',
    });
    await checkAfter(body);
  });

  test('F26 a job object that cannot be reached is tried twice, then given up', async () => {
    const body = newBody();
    await setFaults({ ...NO_FAULTS, job: 'lost' });
    expect((await ask(body, { stream: true })).code).toBe('upstream_lost');
    await checkAfter(body);
  });

  test('F24 a job object that was evicted costs nothing but time', async () => {
    const body = newBody();
    await ask(body, { stream: false });
    const received = edge.upstream.received.length;
    await fetch(`${edge.url}/_abort?prompt=${encodeURIComponent(body.prompt)}`, { method: 'POST' });
    expect((await ask(body, { stream: false })).stored).toBe('hit');
    expect(edge.upstream.received.length).toBe(received);
    await checkAfter(body);
  });
});

describe('a function that stays away', { timeout: 120_000 }, () => {
  test('F49 opens the circuit, is left alone, and is found again by one probe', async () => {
    await edge.upstream.kill();
    const codes: (string | undefined)[] = [];
    for (let i = 0; i < 8; i += 1) codes.push((await ask(newBody(), { stream: false })).code);
    expect(codes).toContain('circuit_open');
    const startedMs = performance.now();
    const refused = await ask(newBody(), { stream: true });
    const refusedMs = performance.now() - startedMs;
    expect(refused).toMatchObject({ status: 503, code: 'circuit_open' });
    expect(Number(refused.retryAfter)).toBeGreaterThan(0);
    // 20 ms on a machine that has nothing else to do.
    expect(refusedMs).toBeLessThan(1000);
    await edge.upstream.revive();
    await expect.poll(async () => (await ask(newBody(), { stream: false })).code).toBeUndefined();
    expect(edge.upstream.received).toHaveLength(1);
    await checkAfter(newBody());
  });
});
