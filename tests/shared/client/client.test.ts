import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  AuthenticationError,
  BadRequestError,
  ConnectionError,
  DigestMismatchError,
  InvalidResponseError,
  PixartEdge,
  PixartError,
  RateLimitError,
  ServerError,
  StreamTruncatedError,
  TimeoutError,
} from '#shared/client/index.ts';
import {
  type Answer,
  events,
  failure,
  json,
  startScriptedServer,
} from '../../helpers/scripted-server.ts';

const BYTES = Buffer.from('a picture, more or less');
const ID = createHash('sha256').update(BYTES).digest('hex');
const PICTURE = { b64_json: BYTES.toString('base64'), seed: 7, id: ID, cache: 'miss' };
const ANSWER = { created: 1, data: [PICTURE], output_format: 'webp', size: '128x128' };
const NOW = { 'retry-after-ms': '1' };

const preview = (step: number, index = 0) => ({
  type: 'image_generation.partial_image',
  b64_json: 'cHJldmlldw==',
  output_format: 'jpeg',
  index,
  partial_image_index: step,
  step,
  steps: 4,
});
const completed = (index = 0, id = ID) => ({
  type: 'image_generation.completed',
  ...PICTURE,
  id,
  output_format: 'webp',
  url: `https://edge.test/i/${ID}.webp`,
  index,
});
const hang: Answer = () => undefined;

async function connect(...answers: Answer[]) {
  const server = await startScriptedServer(...answers);
  const client = new PixartEdge({ baseURL: `${server.origin}/v1/`, apiKey: 'pxe_sk_test' });
  return { server, client, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const thrownBy = (work: Promise<unknown>) =>
  work.then(
    () => expect.fail('nothing was thrown'),
    (error: unknown) => error,
  );

describe('PixartEdge.generate()', () => {
  it('posts the request as it is, with the key and without a name', async () => {
    await using given = await connect(json(ANSWER, { headers: { 'X-Request-Id': 'req_1' } }));
    const result = await given.client.generate({ prompt: 'a cat', seed: 7, output_format: 'webp' });
    const [request] = given.server.received;
    expect(request).toMatchObject({ method: 'POST', path: '/v1/images/generations' });
    expect(request?.headers).toMatchObject({
      authorization: 'Bearer pxe_sk_test',
      'content-type': 'application/json',
    });
    expect(request?.headers['idempotency-key']).toBeUndefined();
    expect(JSON.parse(String(request?.body))).toEqual({
      prompt: 'a cat',
      seed: 7,
      output_format: 'webp',
    });
    expect(result).toMatchObject({ created: 1, size: '128x128', requestId: 'req_1' });
    const [image] = result.images;
    expect(image).toMatchObject({ id: ID, seed: 7, cache: 'miss', mediaType: 'image/webp' });
    expect(image?.url).toBe(`${given.server.origin}/i/${ID}.webp`);
    expect(image?.src).toBe(`data:image/webp;base64,${PICTURE.b64_json}`);
    expect(Buffer.from(await image!.bytes())).toEqual(BYTES);
    expect(await image!.blob()).toMatchObject({ type: 'image/webp', size: BYTES.length });
  });

  it('says Cache-Control when it is told to, and gives no URL to what is not stored', async () => {
    await using given = await connect(json(ANSWER));
    const { images } = await given.client.generate({ prompt: 'a' }, { cacheControl: 'no-store' });
    expect(given.server.received[0]?.headers['cache-control']).toBe('no-store');
    // A repetition of this one would be another picture.
    expect(given.server.received[0]?.headers['idempotency-key']).toMatch(/^[0-9a-f]{32}$/);
    expect(images[0]?.url).toBeUndefined();
  });

  it('asks for a token for each attempt, and for another one once it has expired', async () => {
    await using given = await connect(failure(401, 'token_expired'), json(ANSWER));
    let count = 0;
    const client = new PixartEdge({
      baseURL: given.server.origin,
      apiKey: async () => `token-${++count}`,
    });
    await client.generate({ prompt: 'a' });
    expect(given.server.received.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer token-1',
      'Bearer token-2',
    ]);
  });

  it('lets what the token function throws through as it is', async () => {
    const failed = new Error('not signed in');
    const client = new PixartEdge({
      baseURL: 'http://127.0.0.1:1',
      apiKey: () => Promise.reject(failed),
    });
    expect(await thrownBy(client.generate({ prompt: 'a' }))).toBe(failed);
  });

  it('fetches a picture that came as a URL without the key, and checks its digest', async () => {
    const file: Answer = (response) => void response.end(BYTES);
    await using given = await connect(
      (response, request) => {
        const url = `http://${request.headers.host}/i/${ID}.webp`;
        json({ ...ANSWER, data: [{ id: ID, url }] })(response, request);
      },
      file,
      (response) => void response.end('another picture'),
    );
    const { images } = await given.client.generate({ prompt: 'a', response_format: 'url' });
    expect(images[0]?.src).toBe(images[0]?.url);
    expect(Buffer.from(await images[0]!.bytes())).toEqual(BYTES);
    expect(given.server.received[1]).toMatchObject({ path: `/i/${ID}.webp` });
    expect(given.server.received[1]?.headers.authorization).toBeUndefined();
    expect(await thrownBy(images[0]!.bytes())).toBeInstanceOf(DigestMismatchError);
  });

  it('waits as long as the server says and repeats under one name', async () => {
    await using given = await connect(
      failure(429, 'rate_limited', { ...NOW, 'Retry-After': '30' }),
      failure(503, 'overloaded', NOW),
      json(ANSWER),
    );
    await given.client.generate({ prompt: 'a' });
    const names = given.server.received.map(({ headers }) => headers['idempotency-key']);
    expect(names).toEqual([undefined, names[1], names[1]]);
    expect(names[1]).toMatch(/^[0-9a-f]{32}$/);
  });

  it('carries the name that it is given from the first attempt on', async () => {
    await using given = await connect(failure(503, 'overloaded', NOW), json(ANSWER));
    await given.client.generate({ prompt: 'a' }, { idempotencyKey: 'order-7' });
    const names = given.server.received.map(({ headers }) => headers['idempotency-key']);
    expect(names).toEqual(['order-7', 'order-7']);
  });

  it.each<[string, Answer, number]>([
    ['a mistake in the request', failure(400, 'invalid_parameter'), 1],
    ['429 that says no', failure(429, 'quota_exhausted', { 'x-should-retry': 'false' }), 1],
    ['400 that says yes', failure(400, 'odd', { 'x-should-retry': 'true', ...NOW }), 3],
    ['a hint beyond a minute', failure(429, 'rate_limited', { 'retry-after': '61' }), 1],
    ['a hint beyond the deadline', failure(429, 'rate_limited', { 'retry-after': '50' }), 1],
    ['500 with a hint', failure(500, 'internal_error', NOW), 3],
    [
      'a date as the hint',
      failure(503, 'overloaded', { 'retry-after': new Date(0).toUTCString() }),
      3,
    ],
  ])('repeats as the answer allows: %s', async (_, answer, count) => {
    await using given = await connect(answer);
    await thrownBy(given.client.generate({ prompt: 'a' }, { timeoutMs: 40_000 }));
    expect(given.server.received).toHaveLength(count);
  });

  it('repeats nothing with maxRetries 0', async () => {
    await using given = await connect(failure(503, 'overloaded', NOW));
    await thrownBy(given.client.generate({ prompt: 'a' }, { maxRetries: 0 }));
    expect(given.server.received).toHaveLength(1);
  });

  it('throws an error of the class of the status, with what the server said', async () => {
    await using given = await connect(failure(401, 'invalid_credentials'));
    const error = await thrownBy(given.client.generate({ prompt: 'a' }));
    expect(error).toBeInstanceOf(AuthenticationError);
    expect(error).toMatchObject({
      name: 'AuthenticationError',
      message: 'invalid_credentials it is.',
      status: 401,
      code: 'invalid_credentials',
      requestId: 'req_scripted',
      retryable: false,
    });
  });

  it('makes an error out of any answer at all', async () => {
    await using given = await connect((response) => {
      response.writeHead(502, { 'Content-Type': 'text/html' }).end('<h1>Bad gateway</h1>');
    });
    const error = await thrownBy(given.client.generate({ prompt: 'a' }, { maxRetries: 0 }));
    expect(error).toBeInstanceOf(ServerError);
    expect(error).toMatchObject({ status: 502, code: 'http_502', retryable: true });
  });

  it('throws a ConnectionError when nobody answers', async () => {
    const client = new PixartEdge({ baseURL: 'http://127.0.0.1:1', maxRetries: 0 });
    const error = await thrownBy(client.generate({ prompt: 'a' }));
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({ retryable: true, cause: expect.any(Error) });
  });

  it('throws a ConnectionError when the answer breaks off', async () => {
    await using given = await connect((response) => {
      response.writeHead(200, { 'Content-Length': '1000' }).write('{"data": [');
      setImmediate(() => response.destroy());
    });
    expect(
      await thrownBy(given.client.generate({ prompt: 'a' }, { maxRetries: 0 })),
    ).toBeInstanceOf(ConnectionError);
  });

  it('throws a TimeoutError at its deadline and lets go of the server', async () => {
    await using given = await connect(hang);
    const error = await thrownBy(given.client.generate({ prompt: 'a' }, { timeoutMs: 50 }));
    expect(error).toBeInstanceOf(TimeoutError);
    await expect.poll(() => given.server.abandoned).toBe(1);
  });

  it('rejects with the reason of the signal and lets go of the server', async () => {
    const controller = new AbortController();
    const reason = new Error('the user has left');
    await using given = await connect(() => controller.abort(reason));
    const call = given.client.generate({ prompt: 'a' }, { signal: controller.signal });
    expect(await thrownBy(call)).toBe(reason);
    await expect.poll(() => given.server.abandoned).toBe(1);
  });

  it('stops waiting for a repetition when the signal is aborted', async () => {
    const controller = new AbortController();
    await using given = await connect((response, request) => {
      failure(503, 'overloaded', { 'retry-after': '30' })(response, request);
      setTimeout(() => controller.abort(), 10);
    });
    const call = given.client.generate({ prompt: 'a' }, { signal: controller.signal });
    expect(await thrownBy(call)).toMatchObject({ name: 'AbortError' });
    expect(given.server.received).toHaveLength(1);
  });

  it('repeats when the bytes are not those of the digest, and says so in the end', async () => {
    const wrong = { ...ANSWER, data: [{ ...PICTURE, id: 'ab'.repeat(32) }] };
    await using mended = await connect(json(wrong), json(ANSWER));
    expect((await mended.client.generate({ prompt: 'a' })).images).toHaveLength(1);
    await using given = await connect(json(wrong));
    const error = await thrownBy(given.client.generate({ prompt: 'a' }, { maxRetries: 0 }));
    expect(error).toBeInstanceOf(DigestMismatchError);
    expect(error).toBeInstanceOf(InvalidResponseError);
  });

  it.each<[string, Answer]>([
    ['text', (response) => void response.end('hello')],
    ['no pictures', json({ created: 1 })],
    ['no base64', json({ ...ANSWER, data: [{ b64_json: '?' }] })],
  ])('throws an InvalidResponseError for %s', async (_, answer) => {
    await using given = await connect(answer);
    expect(
      await thrownBy(given.client.generate({ prompt: 'a' }, { maxRetries: 0 })),
    ).toBeInstanceOf(InvalidResponseError);
  });
});

describe('PixartEdge.stream()', () => {
  it('yields previews, then the picture, and ends', async () => {
    await using given = await connect(events([preview(0), preview(1), completed()]));
    const seen: unknown[] = [];
    for await (const event of given.client.stream({ prompt: 'a' })) {
      seen.push([event.type, event.index, event.image.mediaType]);
    }
    expect(seen).toEqual([
      ['preview', 0, 'image/jpeg'],
      ['preview', 0, 'image/jpeg'],
      ['image', 0, 'image/webp'],
    ]);
    expect(JSON.parse(String(given.server.received[0]?.body))).toEqual({
      prompt: 'a',
      stream: true,
      partial_images: 3,
    });
  });

  it('goes on where it was when the connection breaks', async () => {
    await using given = await connect(
      events([preview(0), preview(1), completed(0), preview(0, 1)], 'cut'),
      events([preview(0), completed(0), preview(0, 1), preview(1, 1), completed(1)]),
    );
    const client = new PixartEdge({ baseURL: given.server.origin });
    const seen: string[] = [];
    for await (const event of client.stream({ prompt: 'a', n: 2 })) {
      seen.push(
        `${event.type} ${event.index} ${event.type === 'preview' ? event.step : ''}`.trim(),
      );
    }
    expect(seen).toEqual([
      'preview 0 0',
      'preview 0 1',
      'image 0',
      'preview 1 0',
      'preview 1 1',
      'image 1',
    ]);
    expect(given.server.received).toHaveLength(2);
  });

  it('throws the error that ended it, with its class and code', async () => {
    await using given = await connect(
      events([
        preview(0),
        {
          type: 'error',
          error: {
            message: 'Lost.',
            type: 'server_error',
            code: 'capacity_unavailable',
            param: null,
            reason: 'upstream_lost',
            retryable: true,
            request_id: 'req_9',
          },
        },
      ]),
    );
    const stream = given.client.stream({ prompt: 'a' }, { maxRetries: 0 });
    const error = await thrownBy(stream.images());
    expect(error).toBeInstanceOf(ServerError);
    expect(error).toMatchObject({
      code: 'upstream_lost',
      status: undefined,
      retryable: true,
      requestId: 'req_9',
    });
    expect(await thrownBy(stream.images())).toBe(error);
  });

  it('is refused before it begins like any other request', async () => {
    await using given = await connect(failure(429, 'rate_limited', { 'retry-after': '61' }));
    expect(await thrownBy(given.client.stream({ prompt: 'a' }).images())).toBeInstanceOf(
      RateLimitError,
    );
  });

  it.each<[string, Answer, typeof PixartError]>([
    ['ends without its last event', events([preview(0)]), StreamTruncatedError],
    ['ends one picture too early', events([completed(0)]), StreamTruncatedError],
    ['breaks off', events([preview(0)], 'cut'), ConnectionError],
    [
      'has other bytes than its digest',
      events([completed(0, 'ab'.repeat(32))]),
      DigestMismatchError,
    ],
    ['is no stream', json({}), InvalidResponseError],
  ])('throws when it %s', async (_, answer, type) => {
    await using given = await connect(answer);
    const stream = given.client.stream({ prompt: 'a', n: 2 }, { maxRetries: 0 });
    expect(await thrownBy(stream.images())).toBeInstanceOf(type);
  });

  it('throws a TimeoutError when the server goes silent, and lets go of it', async () => {
    await using given = await connect(events([preview(0)], 'hang'));
    const client = new PixartEdge({
      baseURL: given.server.origin,
      idleTimeoutMs: 50,
      maxRetries: 0,
    });
    const error = await thrownBy(client.stream({ prompt: 'a' }).images());
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ retryable: true });
    await expect.poll(() => given.server.abandoned).toBe(1);
  });

  it('lets go of the server when the loop is left, and has no pictures then', async () => {
    await using given = await connect(events([preview(0)], 'hang'));
    const stream = given.client.stream({ prompt: 'a' });
    for await (const _ of stream) break;
    await expect.poll(() => given.server.abandoned).toBe(1);
    expect(await thrownBy(stream.images())).toBeInstanceOf(PixartError);
  });

  it('rejects with the reason of the signal in the middle of it', async () => {
    await using given = await connect(events([preview(0)], 'hang'));
    const controller = new AbortController();
    const reason = new Error('enough');
    const stream = given.client.stream({ prompt: 'a' }, { signal: controller.signal });
    const watch = async () => {
      for await (const _ of stream) controller.abort(reason);
    };
    expect(await thrownBy(watch())).toBe(reason);
    await expect.poll(() => given.server.abandoned).toBe(1);
  });
});

describe('PixartEdge.edit()', () => {
  it('posts a form with one picture as image, several as image[]', async () => {
    await using given = await connect(json(ANSWER));
    const picture = new Blob([BYTES], { type: 'image/png' });
    await given.client.edit({ image: picture, prompt: 'a hat', strength: 0.5, mask: BYTES.buffer });
    await given.client.edit({ image: [picture, new Uint8Array(BYTES)], prompt: 'a hat' });
    const forms = await Promise.all(
      given.server.received.map(({ headers, body }) =>
        new Response(new Uint8Array(body), {
          headers: { 'Content-Type': headers['content-type'] ?? '' },
        }).formData(),
      ),
    );
    expect(given.server.received[0]?.path).toBe('/v1/images/edits');
    expect([...forms[0]!.keys()].sort()).toEqual(['image', 'mask', 'prompt', 'strength']);
    expect(forms[0]!.get('strength')).toBe('0.5');
    expect(await (forms[0]!.get('image') as Blob).text()).toBe(BYTES.toString());
    expect(forms[1]!.getAll('image[]')).toHaveLength(2);
  });

  it('streams an edit with the events of edits', async () => {
    const done = { ...completed(), type: 'image_edit.completed' };
    await using given = await connect(
      events([{ ...preview(0), type: 'image_edit.partial_image' }, done]),
    );
    const stream = given.client.streamEdit({ image: new Blob([BYTES]), prompt: 'a hat' });
    const types: string[] = [];
    for await (const { type } of stream) types.push(type);
    expect(types).toEqual(['preview', 'image']);
  });

  it('throws before anything is sent for a member that a form cannot carry', async () => {
    const client = new PixartEdge({ baseURL: 'http://127.0.0.1:1' });
    const request = { image: new Blob([]), prompt: 'a', seed: {} as number };
    expect(() => client.streamEdit(request)).toThrow(PixartError);
  });
});

describe('PixartEdge.model()', () => {
  it('asks for an id as one segment', async () => {
    await using given = await connect(json({ id: 'pixart-edge/nano' }));
    expect(await given.client.model('pixart-edge/nano')).toEqual({ id: 'pixart-edge/nano' });
    expect(given.server.received[0]?.path).toBe('/v1/models/pixart-edge%2Fnano');
  });

  it('throws a BadRequestError for one that is not known', async () => {
    await using given = await connect(failure(404, 'model_not_found'));
    expect(await thrownBy(given.client.model('x'))).toBeInstanceOf(BadRequestError);
  });
});

describe('PixartEdge.models()', () => {
  it('is the list without its envelope', async () => {
    await using given = await connect(json({ object: 'list', data: [{ id: 'a' }, { id: 'b' }] }));
    expect((await given.client.models()).map(({ id }) => id)).toEqual(['a', 'b']);
  });
});
