/** Predictions as server-sent events, over real sockets. */
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ServiceError } from '#shared/errors.ts';
import type { SseItem } from '#shared/sse.ts';
import { PICTURE_DATA_URI } from '../helpers/controlled-engine.ts';
import {
  allEvents,
  type RunningFunction,
  readEvents,
  startFunction,
} from '../helpers/gpu-function.ts';

let fn: RunningFunction;
beforeEach(async () => {
  fn = await startFunction();
});
afterEach(async () => {
  await fn[Symbol.asyncDispose]();
});

const STREAM = { Accept: 'text/event-stream' };

function openStream(id: string, headers: Record<string, string> = {}, init: RequestInit = {}) {
  return fetch(`${fn.origin}/predictions/${id}`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json', ...STREAM, ...headers },
    body: JSON.stringify({ input: { prompt: 'a cat' } }),
    ...init,
  });
}

/** Reads until the named event. */
async function readUntil(
  items: AsyncGenerator<SseItem, void, undefined>,
  wanted: (item: SseItem) => boolean,
): Promise<SseItem> {
  for (;;) {
    const { value, done } = await items.next();
    if (done || value === undefined) throw new Error('the stream ended first');
    if (wanted(value)) return value;
  }
}
const isEvent = (name: string) => (item: SseItem) => item.kind === 'event' && item.event === name;

describe('event stream', () => {
  it('tells the whole prediction in Cog’s events and ends with completed', async () => {
    const response = await fn.predict({ id: 'p1', input: { prompt: 'a cat', seed: 3 } }, STREAM);
    expect(response.status).toBe(200);
    expect(response.headers.get('Content-Type')).toBe('text/event-stream');
    expect(response.headers.get('Cache-Control')).toContain('no-transform');
    const job = await fn.engine.nextJob();
    job.step(0);
    job.finish();
    const events = await allEvents(response);
    expect(events.map(({ event }) => event)).toEqual([
      'start',
      'metric',
      'log',
      'output',
      'metric',
      'metric',
      'metric',
      'metric',
      'metric',
      'completed',
    ]);
    expect(events[0]?.data).toEqual({ id: 'p1', status: 'processing' });
    expect(events[1]?.data).toMatchObject({ mode: 'replace', name: 'queue_time' });
    expect(events[2]?.data).toEqual({ data: expect.stringContaining('1/4'), source: 'stdout' });
    expect(events[3]?.data).toEqual({ chunk: PICTURE_DATA_URI, index: 0 });
    expect(events[9]?.data).toMatchObject({
      id: 'p1',
      status: 'succeeded',
      output: [PICTURE_DATA_URI],
      seed: 3,
    });
  });

  it('wins over Prefer: respond-async', async () => {
    const response = await fn.predict(
      { input: { prompt: 'a cat' } },
      { ...STREAM, Prefer: 'respond-async' },
    );
    expect(response.headers.get('Content-Type')).toBe('text/event-stream');
    (await fn.engine.nextJob()).finish();
    expect((await allEvents(response)).at(-1)?.event).toBe('completed');
  });

  it('reports a failed prediction in completed', async () => {
    const response = await fn.predict({ input: { prompt: 'a cat' } }, STREAM);
    (await fn.engine.nextJob()).fail(new ServiceError('upstream_lost', { detail: 'Gone.' }));
    const events = await allEvents(response);
    expect(events.filter(({ event }) => event === 'completed')).toHaveLength(1);
    expect(events.at(-1)?.data).toMatchObject({
      status: 'failed',
      error: 'Gone.',
      code: 'upstream_lost',
    });
  });

  it('answers bad input with 422, not with a stream', async () => {
    const response = await fn.predict({ input: { prompt: '' } }, STREAM);
    expect(response.status).toBe(422);
    expect(response.headers.get('Content-Type')).toBe('application/json');
  });

  it('sends a comment at once and while it waits', async () => {
    await using quick = await startFunction({ env: { HEARTBEAT_MS: '10' } });
    const response = await quick.predict({ input: { prompt: 'a cat' } }, STREAM);
    const items = readEvents(response);
    expect((await items.next()).value).toEqual({ kind: 'comment', text: 'connected' });
    const isHeartbeat = (item: SseItem) => item.kind === 'comment' && item.text === 'keep-alive';
    await readUntil(items, isHeartbeat);
    await readUntil(items, isHeartbeat);
    (await quick.engine.nextJob()).finish();
    await readUntil(items, isEvent('completed'));
  });
});

describe('previews', () => {
  it('are sent to a caller who asked for them', async () => {
    const response = await fn.predict(
      { input: { prompt: 'a cat' } },
      { ...STREAM, 'Pixart-Previews': '2' },
    );
    const job = await fn.engine.nextJob();
    expect(job.job.previewCount).toBe(2);
    job.step(0, { preview: true });
    job.finish();
    const events = await allEvents(response);
    expect(events.find(({ event }) => event === 'preview')?.data).toEqual({
      index: 0,
      step: 1,
      steps: 4,
      image: 'data:image/webp;base64,CQkJ',
    });
  });

  it('are kept from other readers of the same prediction', async () => {
    const first = await openStream('p1', { 'Pixart-Previews': '1' });
    const job = await fn.engine.nextJob();
    const second = await openStream('p1');
    job.step(0, { preview: true });
    job.finish();
    const names = (await allEvents(second)).map(({ event }) => event);
    expect(names).not.toContain('preview');
    expect((await allEvents(first)).map(({ event }) => event)).toContain('preview');
  });

  it.each(['-1', 'many', '101'])('refuses Pixart-Previews: %s', async (value) => {
    const headers = { ...STREAM, 'Pixart-Previews': value };
    const response = await fn.predict({ input: { prompt: 'a cat' } }, headers);
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({
      detail: [{ loc: ['header', 'Pixart-Previews'] }],
    });
  });
});

describe('replay', () => {
  it('gives a late subscriber everything from the start', async () => {
    const first = await openStream('p1');
    const job = await fn.engine.nextJob();
    job.step(0);
    job.step(1);
    const late = await openStream('p1');
    job.finish();
    expect(await allEvents(late)).toEqual(await allEvents(first));
    expect(fn.engine.startedCount).toBe(1);
  });

  it('tells how many events a subscriber has missed, then closes', async () => {
    await using small = await startFunction({ env: { STREAM_HISTORY_MAX: '2' } });
    const start = (headers: Record<string, string>) =>
      fetch(`${small.origin}/predictions/p1`, {
        method: 'PUT',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: JSON.stringify({ input: { prompt: 'a cat' } }),
      });
    await start({ Prefer: 'respond-async' });
    const job = await small.engine.nextJob();
    for (const i of [0, 1, 2]) job.step(i); // start, metric, 3 × log: five events, two kept
    const events = await allEvents(await start(STREAM));
    expect(events).toEqual([
      {
        event: 'error',
        data: { error: 'SSE stream replay truncated; events were dropped', skipped: 3 },
      },
    ]);
    job.finish();
  });

  it('refuses one subscriber too many with 429', async () => {
    await using two = await startFunction({ env: { STREAM_SUBSCRIBERS_MAX: '2' } });
    const open = () =>
      fetch(`${two.origin}/predictions/p1`, {
        method: 'PUT',
        headers: { 'Content-Type': 'application/json', ...STREAM },
        body: JSON.stringify({ input: { prompt: 'a cat' } }),
      });
    const [first, second] = [await open(), await open()];
    const third = await open();
    expect(third.status).toBe(429);
    expect(third.headers.get('Retry-After')).toBe('1');
    expect(await third.json()).toMatchObject({ status: 'failed', code: 'too_many_streams' });
    const job = await two.engine.nextJob();
    expect(job.options.signal.aborted).toBe(false);
    job.finish();
    await allEvents(first);
    await allEvents(second);
  });
});

describe('departure', () => {
  it('of the last subscriber cancels a prediction that a stream created', async () => {
    const leave = new AbortController();
    const response = await openStream('p1', {}, { signal: leave.signal });
    const job = await fn.engine.nextJob();
    await readUntil(readEvents(response), isEvent('start'));
    leave.abort();
    await job.stopped();
    await expect.poll(() => fn.gpuFunction.service.get('p1')).toBeUndefined();
    expect(await fn.metric('predictions_total{status="canceled"}')).toBe(1);
    expect(await fn.metric('stream_subscribers')).toBe(0);
  });

  it('of one of two subscribers cancels nothing', async () => {
    const leave = new AbortController();
    const first = await openStream('p1', {}, { signal: leave.signal });
    const job = await fn.engine.nextJob();
    const second = await openStream('p1');
    await readUntil(readEvents(first), isEvent('start'));
    leave.abort();
    await expect.poll(() => fn.metric('stream_subscribers')).toBe(1);
    expect(job.options.signal.aborted).toBe(false);
    job.finish();
    expect((await allEvents(second)).at(-1)?.data).toMatchObject({ status: 'succeeded' });
  });

  it('of a reader does not cancel an asynchronous prediction', async () => {
    await fn.predict({ id: 'p1', input: { prompt: 'a cat' } }, { Prefer: 'respond-async' });
    const job = await fn.engine.nextJob();
    const leave = new AbortController();
    const reader = await openStream('p1', {}, { signal: leave.signal });
    await readUntil(readEvents(reader), isEvent('start'));
    leave.abort();
    await expect.poll(() => fn.metric('stream_subscribers')).toBe(0);
    expect(job.options.signal.aborted).toBe(false);
    job.finish();
  });

  it('of a synchronous caller cancels its prediction', async () => {
    const leave = new AbortController();
    const answer = fetch(`${fn.origin}/predictions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ id: 'p1', input: { prompt: 'a cat' } }),
      signal: leave.signal,
    });
    const job = await fn.engine.nextJob();
    leave.abort();
    await expect(answer).rejects.toThrow();
    await job.stopped();
    await expect.poll(() => fn.metric('predictions_total{status="canceled"}')).toBe(1);
  });

  it.each(['FIN', 'RST'] as const)('by %s is seen while nothing is written', async (way) => {
    const body = JSON.stringify({ id: 'p1', input: { prompt: 'a cat' } });
    const socket = connect(fn.port, '127.0.0.1');
    socket.write(
      'POST /predictions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    const job = await fn.engine.nextJob();
    if (way === 'FIN') socket.end();
    else socket.resetAndDestroy();
    await job.stopped();
    socket.destroy();
  });

  it('of a caller that waits in the queue takes it out', async () => {
    const first = fn.predict({ input: { prompt: 'a cat' } });
    const job = await fn.engine.nextJob();
    const leave = new AbortController();
    const waiting = await openStream('waiting', {}, { signal: leave.signal });
    await readEvents(waiting).next();
    leave.abort();
    await expect.poll(() => fn.gpuFunction.service.get('waiting')).toBeUndefined();
    job.finish();
    await first;
    expect(fn.engine.startedCount).toBe(1);
  });
});

describe('a reader that takes nothing', () => {
  /** Opens a stream and never reads: the picture is larger than the socket's buffers. */
  const openAndStall = (port: number, accept: string) => {
    const body = JSON.stringify({ id: 'p1', input: { prompt: 'a cat' } });
    const socket = connect(port, '127.0.0.1');
    socket.pause();
    socket.write(
      `POST /predictions HTTP/1.1\r\nHost: x\r\nAccept: ${accept}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    return socket;
  };

  it.each([
    ['an event stream', 'text/event-stream'],
    ['an answer', 'application/json'],
  ])('loses %s after the stall time', async (_name, accept) => {
    await using stalling = await startFunction({ env: { WRITE_STALL_MS: '200' } });
    const socket = openAndStall(stalling.port, accept);
    const job = await stalling.engine.nextJob();
    job.picture(new Uint8Array(16 * 1024 * 1024));
    job.finish();
    await expect.poll(() => stalling.metric('stream_stalls_total')).toBe(1);
    await expect
      .poll(
        () =>
          new Promise<number>((resolve) =>
            stalling.gpuFunction.server.getConnections((_error, count) => resolve(count)),
          ),
      )
      // The connection that asks for the metrics is the only one left.
      .toBeLessThanOrEqual(1);
    socket.destroy();
  });
});
