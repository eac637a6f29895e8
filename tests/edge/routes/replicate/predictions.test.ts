/** Predictions over HTTP in real workerd: what the clients do not show. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { predictionObject } from '#shared/schemas/replicate.ts';
import { decodeSse } from '#shared/sse.ts';
import { type RunningEdge, readJson, startEdge } from '../../../helpers/edge.ts';
import { MODEL, REVISION } from '../../../helpers/model.ts';
import { makePng } from '../../../helpers/picture.ts';
import { send, toDataUri } from '../../../helpers/upstream.ts';

let edge: RunningEdge;

beforeAll(async () => {
  edge = await startEdge();
});
afterAll(() => edge[Symbol.asyncDispose]());
beforeEach(() => {
  edge.upstream.behaviour = {};
  edge.upstream.received.length = 0;
});

let count = 0;
function newPrompt(): string {
  count += 1;
  return `an otter, number ${count}`;
}

const path = `/v1/models/${MODEL.id}/predictions`;

function post(body: unknown, headers: Record<string, string> = {}, to = path): Promise<Response> {
  return fetch(edge.url + to, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: {
      'Content-Type': 'application/json',
      Authorization: `Token ${edge.key}`,
      ...headers,
    },
  });
}

const create = async (headers: Record<string, string> = {}) =>
  readJson(await post({ input: { prompt: newPrompt() } }, headers));

function never(): Promise<never> {
  return new Promise(() => undefined);
}

/** Id, name and data of the events of a stream. */
async function readStream(
  url: string,
  headers: Record<string, string> = {},
  onEvent: () => void = () => undefined,
) {
  const response = await fetch(url, { headers: { Accept: 'text/event-stream', ...headers } });
  const events: { id: string; event: string; data: string }[] = [];
  if (response.body === null) return events;
  for await (const item of decodeSse(response.body as never, { bytesMax: 1e7 })) {
    if (item.kind !== 'event') continue;
    events.push({ id: item.id, event: item.event, data: item.data });
    onEvent();
  }
  return events;
}

describe('POST …/predictions', () => {
  test('a prediction is answered at once, as starting, with where to ask', async () => {
    edge.upstream.behaviour = { during: never };
    const response = await post({ input: { prompt: newPrompt() } });
    expect(response.status).toBe(201);
    const body = predictionObject.parse(await readJson(response));
    expect(body).toMatchObject({
      status: 'starting',
      output: null,
      model: MODEL.id,
      version: REVISION,
    });
    expect(response.headers.get('Location')).toBe(body.urls.get);
    expect(new URL(body.urls.stream).pathname).toMatch(/^\/v1\/files\//);
    await post({}, {}, `/v1/predictions/${body.id}/cancel`);
  });

  test('a prediction whose wait is over is 202 and starting', async () => {
    edge.upstream.behaviour = { during: never };
    const response = await post({ input: { prompt: newPrompt() } }, { Prefer: 'wait=1' });
    expect(response.status).toBe(202);
    expect(response.headers.get('Preference-Applied')).toBeNull();
    const { id, status, output } = await readJson(response);
    expect([status, output]).toEqual(['starting', null]);
    const canceled = await post({}, {}, `/v1/predictions/${id}/cancel`);
    expect(await readJson(canceled)).toMatchObject({ id, status: 'canceled', output: null });
  });

  test('a prediction that was waited for says so', async () => {
    const response = await post({ input: { prompt: newPrompt() } }, { Prefer: 'wait' });
    expect([response.status, response.headers.get('Preference-Applied')]).toEqual([201, 'wait']);
  });

  test('a prediction is canceled when its time is over', async () => {
    edge.upstream.behaviour = { during: never };
    const made = await create({ 'Cancel-After': '5' });
    expect(Date.parse(made.deadline) - Date.parse(made.created_at)).toBe(5000);
    const events = await readStream(made.urls.stream);
    expect(events.at(-1)).toMatchObject({ event: 'done', data: '{"reason":"canceled"}' });
  });

  test('a prediction with an idempotency key is made once', async () => {
    const body = { input: { prompt: newPrompt() } };
    const headers = { 'Idempotency-Key': `once-${count}`, Prefer: 'wait' };
    const first = await readJson(await post(body, headers));
    const again = await post(body, headers);
    expect(again.headers.get('Idempotency-Replayed')).toBe('true');
    expect((await readJson(again)).id).toBe(first.id);
    expect(edge.upstream.received).toHaveLength(1);
  });

  test('a prediction ignores members that it does not know, and says so', async () => {
    const input = { prompt: newPrompt(), go_fast: true, nested: { a: [{ b: 1 }] } };
    const response = await post({ input }, { Prefer: 'wait' });
    expect(response.headers.get('Pixart-Warning')).toBe('unknown_parameter');
    const body = await readJson(response);
    expect(body.input).toEqual(input);
    expect(body.logs).toContain('go_fast');
  });

  test.each([
    ['no input', {}, {}, path, 422, 'input'],
    ['input that is no object', { input: 'a' }, {}, path, 422, 'input'],
    [
      'a webhook that is no URL',
      { input: { prompt: 'a' }, webhook: 'x' },
      {},
      path,
      422,
      'webhook',
    ],
    [
      'a private webhook',
      { input: { prompt: 'a' }, webhook: 'https://127.1' },
      {},
      path,
      422,
      'webhook',
    ],
    [
      'an event that is none',
      { input: { prompt: 'a' }, webhook_events_filter: ['all'] },
      {},
      path,
      422,
      'webhook_events_filter[0]',
    ],
    ['no version', { input: { prompt: 'a' } }, {}, '/v1/predictions', 422, 'version'],
    [
      'an old version',
      { input: { prompt: 'a' }, version: 'cd'.repeat(32) },
      {},
      '/v1/predictions',
      422,
      'version',
    ],
    [
      'a version that is none',
      { input: { prompt: 'a' }, version: 'x' },
      {},
      '/v1/predictions',
      422,
      'version',
    ],
    [
      'an unknown model',
      { input: { prompt: 'a' } },
      {},
      '/v1/models/a/b/predictions',
      404,
      undefined,
    ],
    [
      'an unknown deployment',
      { input: { prompt: 'a' } },
      {},
      '/v1/deployments/a/b/predictions',
      404,
      undefined,
    ],
    ['an empty prompt', { input: { prompt: ' ' } }, {}, path, 422, 'input.prompt'],
    [
      'a short Cancel-After',
      { input: { prompt: 'a' } },
      { 'Cancel-After': '1' },
      path,
      400,
      'Cancel-After',
    ],
    [
      'no-store',
      { input: { prompt: 'a' } },
      { 'Cache-Control': 'no-store' },
      path,
      400,
      'Cache-Control',
    ],
  ] as const)(
    'a prediction with %s is refused',
    async (_name, body, headers, to, status, param) => {
      const response = await post(body, headers, to);
      expect(response.status).toBe(status);
      expect(response.headers.get('Content-Type')).toBe('application/problem+json');
      const problem = await readJson(response);
      expect(typeof problem.detail).toBe('string');
      expect(problem.error).toBeUndefined();
      if (status === 422) expect(problem.invalid_fields[0].field).toBe(param);
      else expect(problem.param).toBe(param);
      expect(edge.upstream.received).toHaveLength(0);
    },
  );
});

describe('GET /v1/files/{token}', () => {
  test('a stream is read without a key and goes on after the last event', async () => {
    const held = Promise.withResolvers<void>();
    const image = toDataUri(makePng(16, 16, 0x112233));
    edge.upstream.behaviour = {
      during: async (response) => {
        for (const step of [1, 2]) send(response, 'preview', { index: 0, step, steps: 4, image });
        await held.promise;
      },
    };
    const { urls } = await create();
    // The work ends once a reader is there.
    const events = await readStream(urls.stream, {}, () => held.resolve());
    expect(events.map(({ event }) => event)).toEqual(['output', 'output', 'output', 'done']);
    expect(events.map(({ id }) => id.split(':')[1])).toEqual(['1', '2', '3', '4']);
    const rest = await readStream(urls.stream, { 'Last-Event-ID': events[2]!.id });
    expect(rest.map(({ event }) => event)).toEqual(['done']);
    // Of an ended prediction what counts is left: its pictures and the end.
    const again = await readStream(urls.stream);
    expect(again).toMatchObject([{ event: 'output', data: events[2]!.data }, { event: 'done' }]);
  });

  test('a stream without the media type of events is the state as JSON', async () => {
    const { id, urls } = await create({ Prefer: 'wait' });
    const response = await fetch(urls.stream);
    expect(predictionObject.parse(await readJson(response))).toMatchObject({
      id,
      status: 'succeeded',
    });
  });

  test('a stream has no other token', async () => {
    const { urls } = await create({ Prefer: 'wait' });
    const other = urls.stream.replace(/.$/, (last: string) => (last === '0' ? '1' : '0'));
    const response = await fetch(other);
    expect(response.status).toBe(404);
    expect(response.headers.get('Content-Type')).toBe('application/problem+json');
  });

  test('a stream that its last reader leaves stops the work', async () => {
    edge.upstream.behaviour = { during: never };
    const { id, urls } = await create();
    const controller = new AbortController();
    await fetch(urls.stream, {
      headers: { Accept: 'text/event-stream' },
      signal: controller.signal,
    });
    controller.abort();
    await edge.upstream.when(() => edge.upstream.received[0]?.outcome === 'canceled');
    const headers = { Authorization: `Bearer ${edge.key}` };
    const state = await readJson(await fetch(`${edge.url}/v1/predictions/${id}`, { headers }));
    expect(state.status).toBe('canceled');
  });
});
