/** Requests with a name, in real workerd: run once, joined, answered again. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  generationBytes,
  type RunningEdge,
  rawRequest,
  readEvents,
  readJson,
  startEdge,
} from '../helpers/edge.ts';

let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge({ bindings: { UPSTREAM_IDLE_MS: '60000' } });
});
afterAll(() => edge[Symbol.asyncDispose]());
beforeEach(() => {
  edge.upstream.behaviour = {};
  edge.upstream.received.length = 0;
});

const named = (name: string, headers: Record<string, string> = {}) => ({
  headers: { 'Idempotency-Key': name, ...headers },
});

/** The answer once the object of the key has heard that it is there. */
async function replayed(body: unknown, init: RequestInit): Promise<Response> {
  let response = new Response();
  await expect
    .poll(async () => {
      response = await edge.generate(body, init);
      return response.headers.get('Idempotency-Replayed');
    })
    .toBe('true');
  return response;
}

describe('Idempotency', { timeout: 180_000 }, () => {
  test('Idempotency answers a finished name with the same body, and draws nothing', async () => {
    const body = { prompt: 'a named cactus', n: 2 };
    const first = await readJson(await edge.generate(body, named('"first"')));
    expect(edge.upstream.received).toHaveLength(2);
    const again = await replayed(body, named('first'));
    expect(again.status).toBe(200);
    expect(again.headers.get('Content-Type')).toBe('application/json');
    // The picture too, which is kept in the store alone.
    expect(await readJson(again)).toEqual(first);
    expect(first.data[1].b64_json.length).toBeGreaterThan(50);
    expect(edge.upstream.received).toHaveLength(2);
  });

  test('Idempotency does not mind the order of members', async () => {
    await edge.generate({ prompt: 'a named fish', n: 1 }, named('order'));
    const again = await edge.generate({ n: 1, prompt: 'a named fish' }, named('order'));
    expect(again.status).toBe(200);
  });

  test('Idempotency refuses another body under the same name, and says that repeating is of no use', async () => {
    await edge.generate({ prompt: 'a named house' }, named('house'));
    const other = await edge.generate({ prompt: 'another house' }, named('house'));
    expect([other.status, (await readJson(other)).error.code]).toEqual([
      422,
      'idempotency_mismatch',
    ]);
    // On another key, route or method the name is another.
    expect((await edge.generate({ prompt: 'another house' }, named('house2'))).status).toBe(200);
  });

  test('Idempotency draws one picture for a name that chance decides, however often it is sent at once', async () => {
    const gate = Promise.withResolvers<void>();
    edge.upstream.behaviour = { during: () => gate.promise };
    const body = { prompt: 'a named dice' };
    const headers = { 'Cache-Control': 'no-cache' };
    const answers = Array.from({ length: 5 }, () => edge.generate(body, named('dice', headers)));
    await edge.upstream.when(() => edge.upstream.received.length > 0);
    gate.resolve();
    const bodies = await Promise.all(answers.map(async (answer) => readJson(await answer)));
    expect(new Set(bodies.map(({ data }) => data[0].id)).size).toBe(1);
    expect(edge.upstream.received).toHaveLength(1);
    const other = await readJson(await edge.generate(body, named('dice2', headers)));
    expect(other.data[0].seed).not.toBe(bodies[0].data[0].seed);
  });

  test('Idempotency lets a stream join one that runs, and replays it when it is over', async () => {
    const gate = Promise.withResolvers<void>();
    edge.upstream.behaviour = { during: () => gate.promise };
    const body = { prompt: 'a named stream', stream: true };
    const first = await edge.generate(body, named('stream'));
    const second = await edge.generate(body, named('stream'));
    gate.resolve();
    const [events, joined] = await Promise.all([readEvents(first), readEvents(second)]);
    expect(joined.at(-1)!.data.id).toBe(events.at(-1)!.data.id);
    expect(edge.upstream.received).toHaveLength(1);
    const again = await replayed(body, named('stream'));
    expect(again.headers.get('Content-Type')).toMatch(/^text\/event-stream/);
    expect((await readEvents(again)).map(({ data }) => data)).toEqual(
      events.map(({ data }) => data),
    );
  });

  test('Idempotency keeps no failure: the same name is run again', async () => {
    edge.upstream.behaviour = { before: (response) => void response.writeHead(500).end('{}') };
    const body = { prompt: 'a named failure' };
    const failed = await edge.generate(body, named('failure'));
    expect(failed.status).toBeGreaterThanOrEqual(500);
    edge.upstream.behaviour = {};
    await expect.poll(async () => (await edge.generate(body, named('failure'))).status).toBe(200);
    // What has failed binds nobody to its body.
    edge.upstream.behaviour = { before: (response) => void response.writeHead(500).end('{}') };
    await edge.generate({ prompt: 'a second failure' }, named('free'));
    edge.upstream.behaviour = {};
    await expect
      .poll(async () => (await edge.generate({ prompt: 'a third' }, named('free'))).status)
      .toBe(200);
  });

  test('Idempotency keeps no answer of a caller who has left, and draws the same picture for who comes back', async () => {
    edge.upstream.behaviour = { during: () => new Promise(() => undefined) };
    const bytes = generationBytes(edge, { prompt: 'a named leaver', stream: true }).replace(
      'Host:',
      'Idempotency-Key: leaver\r\nCache-Control: no-cache\r\nHost:',
    );
    const { socket, has } = rawRequest(edge.url, bytes);
    await has(/accepted/);
    const seed = edge.upstream.received[0]!.input.seed;
    socket.resetAndDestroy();
    await edge.upstream.when(() => edge.upstream.received[0]!.outcome === 'canceled');
    edge.upstream.behaviour = {};
    const headers = { 'Cache-Control': 'no-cache' };
    const body = { prompt: 'a named leaver', stream: true };
    const [event] = await readEvents(await edge.generate(body, named('leaver', headers)));
    expect(event!.data.seed).toBe(seed);
  });

  test('Idempotency recognises a retry of OpenAI’s clients by its body', async () => {
    const draw = async (attempt: string) => {
      const headers = { 'Cache-Control': 'no-cache', 'X-Stainless-Retry-Count': attempt };
      const { data } = await readJson(
        await edge.generate({ prompt: 'a retried cat' }, { headers }),
      );
      return data[0].seed as number;
    };
    const first = await draw('0');
    expect(await draw('1')).toBe(first);
    expect(await draw('2')).toBe(first);
    // A new request, though it looks the same.
    expect(await draw('0')).not.toBe(first);
  });

  test.each([
    ['nothing', ''],
    ['256 characters', 'x'.repeat(256)],
    ['two words', 'two words'],
    ['letters beyond ASCII', 'a\u00e9'],
  ])('Idempotency refuses %s as a name', async (_what, name) => {
    const response = await edge.generate({ prompt: 'a' }, named(name));
    expect([response.status, (await readJson(response)).code]).toEqual([
      400,
      'invalid_idempotency_key',
    ]);
  });
});
