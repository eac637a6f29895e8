/** The job object in real workerd: one execution, its followers, and everything that can go wrong with its upstream. */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  generationBytes,
  type RunningEdge,
  rawRequest,
  readEvents,
  readJson,
  startEdge,
} from '../helpers/edge.ts';
import { type Behaviour, pictureOf, send, toDataUri } from '../helpers/upstream.ts';

let edge: RunningEdge;

beforeAll(async () => {
  edge = await startEdge({ bindings: { UPSTREAM_IDLE_MS: '30000' } });
});
afterAll(() => edge[Symbol.asyncDispose]());
afterEach(() => {
  edge.upstream.behaviour = {};
  edge.upstream.received.length = 0;
});

/** Each test draws a prompt of its own, so that none finds another's picture. */
let count = 0;
function newPrompt(): string {
  count += 1;
  return `a cactus, number ${count}`;
}

/** Holds predictions back until the test lets them go on. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { wait: () => promise, open: resolve };
}

const preview = (step: number) => ({
  index: 0,
  step,
  steps: 4,
  image: toDataUri(pictureOf({ width: 16, height: 16, seed: step, prompt: '' })),
});

describe('Job', () => {
  test('Job draws once for 20 identical requests at the same time, and all get the same bytes', async () => {
    const held = gate();
    edge.upstream.behaviour = { during: held.wait };
    const body = { prompt: newPrompt() };
    const requests = Array.from({ length: 20 }, () => edge.generate(body));
    await edge.upstream.when(() => edge.upstream.received.length > 0);
    held.open();
    const responses = await Promise.all(requests);
    const answers = await Promise.all(responses.map(readJson));
    expect(edge.upstream.received).toHaveLength(1);
    expect(responses.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(new Set(answers.map(({ data }) => data[0].b64_json)).size).toBe(1);
    const how = responses.map(({ headers }) =>
      headers.get('Cache-Status')!.replace(/; key=.*/, ''),
    );
    expect(how.filter((status) => status === 'pixart-edge; fwd=miss')).toHaveLength(1);
    expect(
      how.filter((status) => status === 'pixart-edge; fwd=miss; collapsed').length,
    ).toBeGreaterThan(0);
  });

  test('Job gives streams and plain requests the same execution', async () => {
    const held = gate();
    edge.upstream.behaviour = {
      during: async (response) => {
        await held.wait();
        send(response, 'preview', preview(2));
      },
    };
    const body = { prompt: newPrompt() };
    const stream = edge.generate({ ...body, stream: true, partial_images: 1 });
    await edge.upstream.when(() => edge.upstream.received.length > 0);
    const plain = edge.generate(body);
    held.open();
    const events = await readEvents(await stream);
    const { data } = await readJson(await plain);
    expect(events.map(({ event }) => event)).toEqual([
      'image_generation.partial_image',
      'image_generation.completed',
    ]);
    expect(events[1]!.data.b64_json).toBe(data[0].b64_json);
    expect(edge.upstream.received).toHaveLength(1);
    expect(edge.upstream.received[0]!.headers['pixart-previews']).toBe('1');
  });

  test('Job is not asked for a picture that is in the store: same bytes, no execution', async () => {
    const body = { prompt: newPrompt() };
    const first = await readJson(await edge.generate(body));
    const again = await edge.generate(body);
    const second = await readJson(again);
    expect(again.headers.get('Cache-Status')).toMatch(/^pixart-edge; hit; key="[0-9a-f]{64}"$/);
    expect(second.data[0]).toEqual({ ...first.data[0], cache: 'hit' });
    expect(second.created).toBe(first.created);
    expect(edge.upstream.received).toHaveLength(1);
    const bytes = Buffer.from(second.data[0].b64_json, 'base64');
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(second.data[0].id);
  });
});

describe('Job, when its followers leave', () => {
  test.each(['FIN', 'RST'])(
    'Job stops within a second of the %s of its last stream',
    async (how) => {
      edge.upstream.behaviour = { during: gate().wait };
      const raw = rawRequest(
        edge.url,
        generationBytes(edge, { prompt: newPrompt(), stream: true }),
      );
      await raw.has(/: accepted/);
      await edge.upstream.when(() => edge.upstream.received.length > 0);
      const leftMs = performance.now();
      if (how === 'FIN') raw.socket.destroy();
      else raw.socket.resetAndDestroy();
      await edge.upstream.when(() => edge.upstream.received[0]!.outcome === 'canceled');
      // The heartbeat of one second, and what a busy machine adds.
      expect(performance.now() - leftMs).toBeLessThan(3000);
    },
  );

  test('Job stops when the last plain request is reset', async () => {
    edge.upstream.behaviour = { during: gate().wait };
    const raw = rawRequest(edge.url, generationBytes(edge, { prompt: newPrompt() }));
    await edge.upstream.when(() => edge.upstream.received.length > 0);
    const leftMs = performance.now();
    raw.socket.resetAndDestroy();
    await edge.upstream.when(() => edge.upstream.received[0]!.outcome === 'canceled');
    expect(performance.now() - leftMs).toBeLessThan(3000);
  });

  test('Job goes on while one follower is left', async () => {
    const held = gate();
    edge.upstream.behaviour = { during: held.wait };
    const body = { prompt: newPrompt(), stream: true };
    const leader = rawRequest(edge.url, generationBytes(edge, body));
    await edge.upstream.when(() => edge.upstream.received.length > 0);
    const follower = rawRequest(edge.url, generationBytes(edge, body));
    await follower.has(/: accepted/);
    leader.socket.destroy();
    // A heartbeat later the departure has been noticed.
    await follower.has(/(?:: keep-alive[\s\S]*){3}/);
    held.open();
    expect(await follower.has(/event: image_generation.completed/)).not.toContain('event: error');
    follower.socket.destroy();
    expect(edge.upstream.received.map(({ outcome }) => outcome)).toEqual(['completed']);
  });

  test('Job starts anew for whoever comes after everybody has left', async () => {
    edge.upstream.behaviour = { during: gate().wait };
    const body = { prompt: newPrompt() };
    const raw = rawRequest(edge.url, generationBytes(edge, { ...body, stream: true }));
    await edge.upstream.when(() => edge.upstream.received.length > 0);
    raw.socket.destroy();
    await edge.upstream.when(() => edge.upstream.received[0]!.outcome === 'canceled');
    edge.upstream.behaviour = {};
    expect((await edge.generate(body)).status).toBe(200);
    expect(edge.upstream.received).toHaveLength(2);
  });

  test('Job gives a caller who can come back two seconds to do so', async () => {
    const held = gate();
    edge.upstream.behaviour = { during: held.wait };
    const body = { prompt: newPrompt(), stream: true };
    const bytes = generationBytes(edge, body).replace(
      'Content-Type',
      'Idempotency-Key: again-1\r\nContent-Type',
    );
    const first = rawRequest(edge.url, bytes);
    await edge.upstream.when(() => edge.upstream.received.length > 0);
    await first.has(/: accepted/);
    first.socket.destroy();
    const second = rawRequest(edge.url, bytes);
    await second.has(/(?:: keep-alive[\s\S]*){3}/);
    held.open();
    await second.has(/event: image_generation.completed/);
    second.socket.destroy();
    expect(edge.upstream.received.map(({ outcome }) => outcome)).toEqual(['completed']);
  });
});

describe('Job, when its upstream fails', () => {
  /**
   * The one error event of a stream that had begun, and that the next request is served.
   *
   * @param misbehave  what the upstream does once its first preview has been read
   */
  async function failure(
    misbehave: (response: ServerResponse) => unknown,
    more: Behaviour = {},
  ): Promise<{ code: string; reason: string; retryable: boolean }> {
    const hasPreview = gate();
    edge.upstream.behaviour = {
      ...more,
      during: async (response) => {
        send(response, 'preview', preview(1));
        await hasPreview.wait();
        await misbehave(response);
      },
    };
    const body = { prompt: newPrompt() };
    const response = await edge.generate({ ...body, stream: true, partial_images: 1 });
    const events = await readEvents(response, () => hasPreview.open());
    expect(events.map(({ event }) => event)).toEqual(['image_generation.partial_image', 'error']);
    edge.upstream.behaviour = {};
    const next = await edge.generate(body);
    expect(next.status).toBe(200);
    expect(next.headers.get('Cache-Status')).toContain('fwd=miss');
    return events[1]!.data.error;
  }

  test('Job ends a stream with one upstream_lost when the connection breaks', async () => {
    expect(await failure((response) => response.socket?.resetAndDestroy())).toMatchObject({
      reason: 'upstream_lost',
      code: 'capacity_unavailable',
      retryable: true,
    });
  });

  test('Job ends a stream with one error when the upstream process dies, and works when it is back', async () => {
    const body = { prompt: newPrompt() };
    edge.upstream.behaviour = { during: gate().wait };
    const stream = edge.generate({ ...body, stream: true });
    await edge.upstream.when(() => edge.upstream.received.length > 0);
    const response = await stream;
    await edge.upstream.kill();
    const events = await readEvents(response);
    expect(events.map(({ event, data }) => [event, data.error?.reason])).toEqual([
      ['error', 'upstream_lost'],
    ]);
    const down = await edge.generate(body);
    expect([down.status, (await readJson(down)).code]).toEqual([503, 'upstream_lost']);
    await edge.upstream.revive();
    edge.upstream.behaviour = {};
    expect((await edge.generate(body)).status).toBe(200);
  });

  test('Job tells a record that was cut in the middle from a lost connection', async () => {
    const cut = (response: ServerResponse) =>
      response.end('event: completed\ndata: {"status":"succ');
    expect(await failure(cut)).toMatchObject({
      reason: 'upstream_truncated',
      code: 'backend_error',
    });
  });

  test.each([
    [409, { 'Retry-After': '3' }, 503, 'overloaded', '3'],
    [503, {}, 503, 'model_unavailable', '2'],
    [500, {}, 502, 'upstream_invalid_response', null],
    [302, { Location: 'http://127.0.0.1:1/' }, 502, 'upstream_invalid_response', null],
  ])(
    'Job turns an upstream %i %j into %i %s',
    async (status, headers, expected, code, retryAfter) => {
      edge.upstream.behaviour = {
        before: (response) => {
          response
            .writeHead(status, headers as Record<string, string>)
            .end('{"detail":"secret host"}');
        },
      };
      const response = await edge.generate({ prompt: newPrompt(), stream: true });
      const text = await response.text();
      expect([response.status, JSON.parse(text).code]).toEqual([expected, code]);
      expect(response.headers.get('Retry-After')).toBe(retryAfter);
      expect(text).not.toContain('secret host');
    },
  );

  test('Job passes on what the upstream refuses, by field', async () => {
    edge.upstream.behaviour = {
      before: (response) => {
        const detail = [
          { loc: ['body', 'input', 'width'], msg: 'is not drawn', type: 'value_error' },
        ];
        response.writeHead(422).end(JSON.stringify({ detail }));
      },
    };
    const response = await edge.generate({ prompt: newPrompt() });
    const { error } = await readJson(response);
    expect([response.status, error.param, error.message]).toEqual([
      400,
      'width',
      'width is not drawn',
    ]);
  });

  const wrong: [string, Record<string, unknown>, string][] = [
    ['another digest', { output_sha256: ['0'.repeat(64)] }, 'upstream_mismatch'],
    ['another revision', { revision: 'f'.repeat(64) }, 'upstream_mismatch'],
    ['another seed', { seed: 1 }, 'upstream_mismatch'],
    [
      'another size',
      {
        output: [toDataUri(pictureOf({ width: 64, height: 64, seed: 1, prompt: '' }))],
        output_sha256: null,
      },
      'upstream_mismatch',
    ],
    [
      'half a picture',
      {
        output: [
          toDataUri(pictureOf({ width: 128, height: 128, seed: 1, prompt: '' }).subarray(0, 200)),
        ],
        output_sha256: null,
      },
      'upstream_truncated',
    ],
    [
      'a web page',
      { output: [`data:text/html;base64,${btoa('<html>'.repeat(20))}`], output_sha256: null },
      'upstream_invalid_response',
    ],
    ['no base64', { output: ['data:image/png;base64,%%%%'] }, 'upstream_invalid_response'],
    ['no picture', { output: [] }, 'upstream_invalid_response'],
    ['a state it does not know', { status: 'aborted' }, 'upstream_invalid_response'],
    [
      'a failure of its own',
      { status: 'failed', code: 'out_of_memory', error: 'Too large.', output: null },
      'out_of_memory',
    ],
    [
      'a failure without a code',
      { status: 'failed', error: 'at /srv/model.onnx', output: null },
      'upstream_invalid_response',
    ],
  ];
  test.each(wrong)('Job keeps nothing when the result has %s', async (_, members, code) => {
    const body = { prompt: newPrompt() };
    edge.upstream.behaviour = { result: (completed) => ({ ...completed, ...members }) };
    const response = await edge.generate(body);
    const answer = await response.text();
    expect(JSON.parse(answer).code).toBe(code);
    expect(answer).not.toContain('/srv');
    edge.upstream.behaviour = {};
    const next = await edge.generate(body);
    expect(next.headers.get('Cache-Status')).toContain('fwd=miss');
  });

  test.each([
    [
      'a line of 1 MB',
      (response: ServerResponse) => response.write(`data: ${'x'.repeat(1_000_000)}`),
    ],
    [
      'bytes that are not UTF-8',
      (response: ServerResponse) => response.write(Buffer.from([0xff, 0xfe, 10, 10])),
    ],
    [
      'an event of its own making',
      (response: ServerResponse) => send(response, 'completed', { status: 7 }),
    ],
    [
      'JSON that is none',
      (response: ServerResponse) => response.write('event: completed\ndata: {bad\n\n'),
    ],
    [
      'a lost event',
      (response: ServerResponse) => send(response, 'error', { error: 'lost', skipped: 3 }),
    ],
  ])('Job refuses a stream with %s', async (_, misbehave) => {
    expect(await failure(misbehave)).toMatchObject({ reason: 'upstream_invalid_response' });
  });

  test('Job ignores whatever follows the end', async () => {
    edge.upstream.behaviour = {
      result: (completed) => completed,
      during: (response) => {
        const { end } = response;
        response.end = ((...rest: Parameters<typeof end>) => {
          send(response, 'completed', { status: 'failed', code: 'internal_error' });
          return end.apply(response, rest);
        }) as typeof end;
      },
    };
    const events = await readEvents(await edge.generate({ prompt: newPrompt(), stream: true }));
    expect(events.map(({ event }) => event)).toEqual(['image_generation.completed']);
  });

  test('Job signs what it sends, and no caller can', async () => {
    await edge.generate(
      { prompt: newPrompt() },
      { headers: { 'Pixart-Signature': '0'.repeat(64) } },
    );
    expect(edge.upstream.received).toHaveLength(1);
    expect(edge.upstream.refused).toEqual([]);
    const { headers } = edge.upstream.received[0]!;
    expect(headers['pixart-key-id']).toBe('test');
    expect(headers.authorization).toBeUndefined();
    expect(headers.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  });
});

describe('Job, when its upstream takes too long', () => {
  let hasty: RunningEdge;
  beforeAll(async () => {
    hasty = await startEdge({ bindings: { UPSTREAM_IDLE_MS: '3000', JOB_DEADLINE_MS: '6000' } });
  });
  afterAll(() => hasty[Symbol.asyncDispose]());
  afterEach(() => {
    hasty.upstream.behaviour = {};
    hasty.upstream.received.length = 0;
  });
  const isCanceled = () => hasty.upstream.received[0]?.outcome === 'canceled';

  test('Job ends with upstream_stalled when the body goes silent, and works again', async () => {
    hasty.upstream.behaviour = { heartbeat: false, during: gate().wait };
    const body = { prompt: newPrompt() };
    const events = await readEvents(await hasty.generate({ ...body, stream: true }));
    expect(events.map(({ event, data }) => [event, data.error?.reason, data.error?.code])).toEqual([
      ['error', 'upstream_stalled', 'timeout'],
    ]);
    await hasty.upstream.when(isCanceled);
    hasty.upstream.behaviour = {};
    expect((await hasty.generate(body)).status).toBe(200);
  });

  test('Job ends with deadline_exceeded when the upstream never answers', async () => {
    hasty.upstream.behaviour = { before: () => gate().wait() };
    const response = await hasty.generate({ prompt: newPrompt() });
    const body = await readJson(response);
    expect([response.status, body.code, body.error.code]).toEqual([
      504,
      'deadline_exceeded',
      'timeout',
    ]);
    await hasty.upstream.when(isCanceled);
  });

  test('Job ends with deadline_exceeded when the upstream lives on but does not finish', async () => {
    hasty.upstream.behaviour = { during: gate().wait };
    const response = await hasty.generate({ prompt: newPrompt() });
    expect([response.status, (await readJson(response)).code]).toEqual([504, 'deadline_exceeded']);
    await hasty.upstream.when(isCanceled);
  });
});

describe('Job, when the runtime is killed', { timeout: 180_000 }, () => {
  /** Ends workerd, which this process started; Miniflare starts another. */
  async function killRuntime(): Promise<void> {
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
      const [, comm, parent] = /\((.*)\) \S (\d+)/.exec(stat) ?? [];
      if (comm === 'workerd' && Number(parent) === process.pid)
        process.kill(Number(name), 'SIGKILL');
    }
  }

  test.skipIf(process.platform !== 'linux')(
    'Job is drawn to its end for a caller who can come back (needs /proc)',
    async () => {
      const stateDir = await mkdtemp(path.join(tmpdir(), 'pixart-edge-'));
      await using mortal = await startEdge({ stateDir });
      const held = gate();
      mortal.upstream.behaviour = { during: held.wait };
      const body = { prompt: newPrompt() };
      const headers = { 'Idempotency-Key': 'again-2' };
      const response = await mortal.generate({ ...body, stream: true }, { headers });
      const reader = response.body!.getReader();
      await reader.read();
      await mortal.upstream.when(() => mortal.upstream.received.length === 1);
      // The heartbeat after the function's answer: what had to be written down has been.
      for (let i = 0; i < 3; i += 1) await reader.read();
      await killRuntime();
      await mortal.upstream.when(() => mortal.upstream.received[0]!.outcome === 'canceled');
      // Nobody asks again: the alarm of the lost object does.
      await mortal.upstream.when(() => mortal.upstream.received.length === 2);
      held.open();
      await mortal.upstream.when(() => mortal.upstream.received[1]!.outcome === 'completed');
      const again = await mortal.generate(body);
      expect([again.status, mortal.upstream.received.length]).toEqual([200, 2]);
      await rm(stateDir, { recursive: true, force: true });
    },
  );
});
