/** `POST /v1/images/generations` over HTTP in real workerd: what OpenAI's client sees, and what strangers send. */
import { createHash } from 'node:crypto';
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { completedEvent, partialImageEvent } from '#shared/schemas/event.ts';
import { imagesResponse } from '#shared/schemas/image.ts';
import { openAiErrorBody } from '#shared/schemas/problem.ts';
import {
  type RunningEdge,
  rawRequest,
  readEvents,
  readJson,
  startEdge,
} from '../../helpers/edge.ts';
import { MODEL } from '../../helpers/model.ts';
import { pictureOf, send, toDataUri } from '../../helpers/upstream.ts';

let edge: RunningEdge;
let client: OpenAI;

beforeAll(async () => {
  edge = await startEdge({ bindings: { BODY_DEADLINE_MS: '3000' } });
  client = new OpenAI({ baseURL: `${edge.url}/v1`, apiKey: edge.key, maxRetries: 0 });
});
afterAll(() => edge[Symbol.asyncDispose]());
beforeEach(() => {
  edge.upstream.behaviour = {};
  edge.upstream.received.length = 0;
});

let count = 0;
function newPrompt(): string {
  count += 1;
  return `a fox, number ${count}`;
}

describe('generations through the openai client', () => {
  test('generations answer with a picture as base64', async () => {
    const answer = await client.images.generate({ prompt: newPrompt() });
    const parsed = imagesResponse.parse(answer);
    const bytes = Buffer.from(parsed.data[0]!.b64_json!, 'base64');
    expect(bytes.subarray(1, 4).toString()).toBe('PNG');
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(parsed.data[0]!.id);
    expect(parsed).toMatchObject({ size: '128x128', quality: 'medium', output_format: 'png' });
    expect(parsed.usage).toMatchObject({ input_tokens: 7, output_tokens: 64, total_tokens: 71 });
    expect(answer._request_id).toMatch(/^req_[0-9a-f]{24}$/);
  });

  test('generations answer with a URL where the same bytes are', async () => {
    const prompt = newPrompt();
    const byUrl = await client.images.generate({ prompt, response_format: 'url' });
    const asText = await client.images.generate({ prompt });
    expect(byUrl.data![0]!.b64_json).toBeUndefined();
    const picture = await fetch(byUrl.data![0]!.url!);
    expect(picture.headers.get('Content-Type')).toBe('image/png');
    const bytes = Buffer.from(await picture.arrayBuffer());
    expect(bytes.toString('base64')).toBe(asText.data![0]!.b64_json);
  });

  test('generations draw n pictures with seeds in a row, each the picture of its own seed', async () => {
    const prompt = newPrompt();
    const extra = { seed: 4_294_967_295 } as object;
    const { data } = imagesResponse.parse(await client.images.generate({ prompt, n: 3, ...extra }));
    expect(data.map(({ seed }) => seed)).toEqual([4_294_967_295, 0, 1]);
    expect(new Set(data.map(({ id }) => id)).size).toBe(3);
    expect(edge.upstream.received).toHaveLength(3);
    const again = { prompt, n: 1, seed: 1 } as OpenAI.ImageGenerateParamsNonStreaming;
    const { data: one } = imagesResponse.parse(await client.images.generate(again));
    expect(one[0]).toEqual({ ...data[2], cache: 'hit' });
    expect(edge.upstream.received).toHaveLength(3);
  });

  test('generations send on every field, filled in', async () => {
    await client.images.generate({
      prompt: `  ${newPrompt()} `,
      model: 'dall-e-3',
      size: '1024x1024',
      quality: 'hd',
      user: 'someone',
      ...({ negative_prompt: 'blur', guidance_scale: 4.5, seed: 7 } as object),
    });
    expect(edge.upstream.received[0]!.input).toEqual({
      prompt: `a fox, number ${count}`,
      negative_prompt: 'blur',
      seed: 7,
      width: 1024,
      height: 1024,
      num_inference_steps: 8,
      guidance_scale: 4.5,
      scheduler: 'lcm',
      num_outputs: 1,
      output_format: 'png',
      output_quality: 100,
      size_policy: 'fit',
      background: 'opaque',
    });
  });

  test('generations stream previews and one completed picture', async () => {
    const small = toDataUri(pictureOf({ width: 16, height: 16, seed: 1, prompt: '' }));
    edge.upstream.behaviour = {
      during: (response) => {
        for (const step of [1, 2, 3, 4]) {
          send(response, 'preview', { index: 0, step, steps: 4, image: small });
        }
      },
    };
    const stream = await client.images.generate({
      prompt: newPrompt(),
      stream: true,
      partial_images: 2,
    });
    const events = [];
    for await (const event of stream) events.push(event);
    expect(events.map(({ type }) => type)).toEqual([
      'image_generation.partial_image',
      'image_generation.partial_image',
      'image_generation.completed',
    ]);
    const partials = events.slice(0, 2).map((event) => partialImageEvent.parse(event));
    expect(partials.map((event) => event.partial_image_index)).toEqual([0, 1]);
    expect(partials[0]!.b64_json).toBe(small.split(',')[1]);
    const last = completedEvent.parse(events[2]);
    expect(last.timings).toMatchObject({ denoise: 60, vae: 20, text: 9, queue: 1 });
    const picture = await fetch(last.url!);
    expect(Buffer.from(await picture.arrayBuffer()).toString('base64')).toBe(last.b64_json);
  });

  test('generations stream n pictures one after the other, each with its index', async () => {
    const response = await edge.generate({ prompt: newPrompt(), n: 3, stream: true, seed: 5 });
    const events = await readEvents(response);
    expect(events.map(({ data }) => [data.type, data.index, data.seed])).toEqual([
      ['image_generation.completed', 0, 5],
      ['image_generation.completed', 1, 6],
      ['image_generation.completed', 2, 7],
    ]);
  });

  test('generations stream a cached picture without drawing it', async () => {
    const prompt = newPrompt();
    await edge.generate({ prompt });
    const response = await edge.generate({ prompt, stream: true, partial_images: 3 });
    expect(response.headers.get('Cache-Status')).toContain('; hit;');
    expect(response.headers.get('Content-Type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('Cache-Control')).toBe('no-store, no-transform');
    expect((await readEvents(response)).map(({ data }) => [data.type, data.cache])).toEqual([
      ['image_generation.completed', 'hit'],
    ]);
    expect(edge.upstream.received).toHaveLength(1);
  });

  const refusals: [
    string,
    Record<string, unknown>,
    new (...args: never[]) => Error,
    Record<string, unknown>,
  ][] = [
    [
      'an unknown model',
      { model: 'nobody/nothing' },
      OpenAI.NotFoundError,
      { status: 404, code: 'model_not_found', param: 'model' },
    ],
    [
      'an over-long prompt',
      { prompt: 'x'.repeat(2001) },
      OpenAI.BadRequestError,
      { status: 400, code: 'invalid_value', param: 'prompt' },
    ],
    [
      'an empty prompt',
      { prompt: '' },
      OpenAI.BadRequestError,
      { status: 400, code: 'invalid_value', param: 'prompt' },
    ],
    [
      'no prompt',
      { prompt: undefined },
      OpenAI.BadRequestError,
      { status: 400, code: 'missing_required_parameter', param: 'prompt' },
    ],
    [
      'too many pictures',
      { n: 11 },
      OpenAI.BadRequestError,
      { status: 400, code: 'invalid_value', param: 'n' },
    ],
    [
      'a size of no multiple',
      { size: '100x100' },
      OpenAI.BadRequestError,
      { status: 400, code: 'invalid_value', param: 'size' },
    ],
    [
      'too many steps',
      { num_inference_steps: 9 },
      OpenAI.BadRequestError,
      { status: 400, code: 'invalid_value', param: 'num_inference_steps' },
    ],
  ];
  test.each(refusals)(
    'generations refuse %s with a typed error',
    async (_, members, type, fields) => {
      const params = { prompt: 'a fox', ...members } as OpenAI.ImageGenerateParamsNonStreaming;
      const error = await client.images.generate(params).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(type);
      expect(error).toMatchObject({ type: 'invalid_request_error', ...fields });
      expect((error as { requestID: string }).requestID).toMatch(/^req_/);
      expect(edge.upstream.received).toEqual([]);
    },
  );

  test('generations refuse a wrong key with an AuthenticationError', async () => {
    const stranger = new OpenAI({ baseURL: `${edge.url}/v1`, apiKey: 'sk-wrong', maxRetries: 0 });
    const error = await stranger.images.generate({ prompt: 'a fox' }).catch((caught) => caught);
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(error.code).toBe('invalid_api_key');
  });

  test('generations raise an APIError in the middle of a stream, after what had come', async () => {
    edge.upstream.behaviour = {
      during: (response) => void response.end(),
    };
    const stream = await client.images
      .generate({ prompt: newPrompt(), stream: true })
      .catch((caught: unknown) => caught as AsyncIterable<never>);
    const error = await (async () => {
      for await (const _ of stream as AsyncIterable<never>);
    })().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect((error as { code: string }).code).toBe('capacity_unavailable');
  });

  test('generations stop when the consumer breaks out of the loop', async () => {
    edge.upstream.behaviour = {
      during: (response) => {
        const image = toDataUri(pictureOf({ width: 16, height: 16, seed: 1, prompt: '' }));
        send(response, 'preview', { index: 0, step: 1, steps: 4, image });
        return new Promise(() => undefined);
      },
    };
    const stream = await client.images.generate({
      prompt: newPrompt(),
      stream: true,
      partial_images: 1,
    });
    for await (const event of stream) {
      expect(event.type).toBe('image_generation.partial_image');
      break;
    }
    await edge.upstream.when(() => edge.upstream.received[0]!.outcome === 'canceled');
  });
});

describe('generations, cache', () => {
  test('generations share a picture between spellings of the same request', async () => {
    const prompt = `cafe\u0301 ${newPrompt()}`;
    const first = await edge.generate({ prompt, num_inference_steps: 4, seed: 100 });
    const spellings = [
      `{"seed":1e2,"steps":4.0,"prompt":${JSON.stringify(prompt.normalize('NFC'))}}`,
      `{ "prompt" : ${JSON.stringify(`  ${prompt}\\n`).replace('\\\\n', '\\n')}, "seed": 100.0, "quality": "auto", "n": null }`,
      JSON.stringify({ prompt, seed: 100, size: '128x128', user: 'x', background: 'opaque' }),
      JSON.stringify({ prompt, seed: 100, guidance_scale: 0.5, negative_prompt: 'ignored' }),
    ];
    const key = first.headers.get('Cache-Status')!.match(/key="(.*)"/)![1];
    for (const body of spellings) {
      const response = await edge.generate({}, { body });
      expect(response.headers.get('Cache-Status'), body).toBe(`pixart-edge; hit; key="${key}"`);
    }
    expect(edge.upstream.received).toHaveLength(1);
  });

  test('generations draw a prompt without a seed the same way twice', async () => {
    const prompt = newPrompt();
    const first = await readJson(await edge.generate({ prompt }));
    const second = await readJson(await edge.generate({ prompt }));
    expect(second.data[0].seed).toBe(first.data[0].seed);
    expect(second.data[0].cache).toBe('hit');
  });

  test('generations draw again for no-cache, with a new seed where none is given', async () => {
    const prompt = newPrompt();
    const headers = { 'Cache-Control': 'no-cache' };
    const first = await readJson(await edge.generate({ prompt }));
    const second = await readJson(await edge.generate({ prompt }, { headers }));
    expect(second.data[0].cache).toBe('miss');
    expect(second.data[0].seed).not.toBe(first.data[0].seed);
    const seeded = await readJson(await edge.generate({ prompt, seed: 3 }));
    const again = await readJson(await edge.generate({ prompt, seed: 3 }, { headers }));
    expect(again.data[0]).toMatchObject({ cache: 'miss', id: seeded.data[0].id });
    expect(edge.upstream.received).toHaveLength(4);
  });

  test('generations keep nothing of what no-store drew', async () => {
    const headers = { 'Cache-Control': 'no-store' };
    const body = { prompt: newPrompt(), seed: 3 };
    const response = await edge.generate(body, { headers });
    const { data } = await readJson(response);
    const picture = await fetch(`${edge.url}/i/${data[0].id}.png`);
    expect(picture.status).toBe(404);
    expect((await edge.generate(body)).headers.get('Cache-Status')).toContain('fwd=miss');
    const events = await readEvents(await edge.generate({ ...body, stream: true }, { headers }));
    expect(events[0]!.data.url).toBeUndefined();
    const asUrl = await edge.generate({ ...body, response_format: 'url' }, { headers });
    expect([asUrl.status, (await readJson(asUrl)).error.param]).toEqual([400, 'response_format']);
  });

  test('generations draw nothing for only-if-cached', async () => {
    const headers = { 'Cache-Control': 'only-if-cached' };
    const body = { prompt: newPrompt() };
    const missing = await edge.generate(body, { headers });
    expect([missing.status, (await readJson(missing)).code]).toEqual([504, 'not_cached']);
    expect(missing.headers.get('x-should-retry')).toBe('false');
    await edge.generate(body);
    expect((await edge.generate(body, { headers })).status).toBe(200);
    expect(edge.upstream.received).toHaveLength(1);
  });

  test('generations keep accounts apart unless the request says public', async () => {
    const prompt = newPrompt();
    const keyOf = async (members: object) => {
      const response = await edge.generate({ prompt, ...members });
      return response.headers.get('Cache-Status')!.match(/key="(.*)"/)![1];
    };
    expect(await keyOf({ visibility: 'account' })).toBe(await keyOf({}));
    expect(await keyOf({ visibility: 'public' })).not.toBe(await keyOf({}));
  });
});

describe('generations, answers', () => {
  test('generations say what they did in headers', async () => {
    const response = await edge.generate(
      { prompt: newPrompt(), foo: 1 },
      { headers: { 'X-Request-Id': 'mine-12345' } },
    );
    const { headers } = response;
    expect(headers.get('X-Request-Id')).toBe('mine-12345');
    expect(headers.get('Cache-Control')).toBe('no-store');
    expect(headers.get('Server-Timing')).toMatch(
      /^auth;dur=[\d.]+, limit;dur=[\d.]+, cache;dur=[\d.]+, queue;dur=1, text;dur=9, denoise;dur=60, vae;dur=20, image;dur=5, total;dur=[\d.]+$/,
    );
    expect(headers.get('RateLimit-Policy')).toBe('"generation";q=10000;w=6, "read";q=1000000;w=60');
    expect(headers.get('RateLimit')).toMatch(
      /^"generation";r=\d+(;t=\d+)?, "read";r=\d+(;t=\d+)?$/,
    );
    expect(headers.get('x-ratelimit-limit-requests')).toBe('10000');
    expect(headers.get('openai-processing-ms')).toMatch(/^\d+$/);
    expect(headers.get('Pixart-Warning')).toBe('unknown_parameter');
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff');
    const { warnings } = await readJson(response);
    expect(warnings).toEqual([
      { code: 'unknown_parameter', message: 'Ignored: foo.', param: 'foo' },
    ]);
  });

  test('generations hand on the warnings of the function, from the cache too', async () => {
    const warning = {
      code: 'prompt_truncated',
      message: 'Not read: “and so on”.',
      param: 'prompt',
    };
    edge.upstream.behaviour = { result: (completed) => ({ ...completed, warnings: [warning] }) };
    const body = { prompt: newPrompt(), model: 'gpt-image-1' };
    const first = await readJson(await edge.generate(body));
    const cached = await edge.generate(body);
    expect(cached.headers.get('Pixart-Warning')).toBe('model_aliased, prompt_truncated');
    expect((await readJson(cached)).warnings).toEqual(first.warnings);
    expect(first.warnings[1]).toEqual(warning);
  });

  test('generations never log a prompt or a key', () => {
    const text = JSON.stringify(edge.log);
    expect(edge.log.some(({ event }) => event === 'request.completed')).toBe(true);
    expect(text).not.toContain('a fox');
    expect(text).not.toContain(edge.key.slice(-20));
  });
});

describe('generations, bad input', () => {
  const json = (text: string | Uint8Array, headers: Record<string, string> = {}): RequestInit => ({
    body: text as BodyInit,
    headers: { 'Content-Type': 'application/json', ...headers },
  });
  const bytes = (...parts: (string | number[])[]) =>
    Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  const wide = (members: number) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: members }, (_, i) => [`m${i}`, i])));
  const deep = (levels: number) =>
    `{"prompt":"a","x":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;
  const big = (size: number) => JSON.stringify({ prompt: 'a', user: 'x'.repeat(size) });

  const cases: [string, RequestInit, number, string][] = [
    ['an empty body', json(''), 400, 'malformed_json'],
    ['null', json('null'), 400, 'malformed_json'],
    ['an array', json('[]'), 400, 'malformed_json'],
    ['a string', json('"x"'), 400, 'malformed_json'],
    ['a number', json('1'), 400, 'malformed_json'],
    ['half an object', json('{bad'), 400, 'malformed_json'],
    ['a trailing comma', json('{"prompt":"a",}'), 400, 'malformed_json'],
    ['single quotes', json("{'prompt':'a'}"), 400, 'malformed_json'],
    ['a comment', json('{"prompt":"a"/*b*/}'), 400, 'malformed_json'],
    ['NaN', json('{"prompt":"a","seed":NaN}'), 400, 'malformed_json'],
    ['a hexadecimal number', json('{"prompt":"a","seed":0x10}'), 400, 'malformed_json'],
    ['a byte-order mark', json('\ufeff{"prompt":"a"}'), 400, 'malformed_json'],
    ['two documents', json('{"prompt":"a"}{"prompt":"b"}'), 400, 'malformed_json'],
    ['bytes that are not UTF-8', json(bytes('{"prompt":"', [0xff], '"}')), 400, 'invalid_utf8'],
    [
      'a surrogate in UTF-8',
      json(bytes('{"prompt":"', [0xed, 0xa0, 0x80], '"}')),
      400,
      'invalid_utf8',
    ],
    ['UTF-16', json(Buffer.from('{"prompt":"a"}', 'utf16le')), 400, 'malformed_json'],
    ['an escaped lone surrogate', json('{"prompt":"a\\ud800"}'), 400, 'invalid_utf8'],
    ['a member twice', json('{"prompt":"a","prompt":"b"}'), 400, 'duplicate_member'],
    ['a member twice, escaped', json('{"prompt":"a","pr\\u006fmpt":"b"}'), 400, 'duplicate_member'],
    ['seven levels', json(deep(7)), 400, 'json_too_complex'],
    ['ten thousand levels', json(deep(10_000)), 400, 'json_too_complex'],
    ['65 members', json(wide(65)), 400, 'json_too_complex'],
    ['17 items', json(`{"prompt":"a","x":[${'0,'.repeat(16)}0]}`), 400, 'json_too_complex'],
    ['a million levels', json(deep(1_000_000)), 413, 'payload_too_large'],
    ['65,537 bytes', json(big(65_537 - 24)), 413, 'payload_too_large'],
    [
      'text/plain',
      json('{"prompt":"a"}', { 'Content-Type': 'text/plain' }),
      415,
      'unsupported_media_type',
    ],
    [
      'a form',
      json('prompt=a', { 'Content-Type': 'application/x-www-form-urlencoded' }),
      415,
      'unsupported_media_type',
    ],
    [
      'another charset',
      json('{"prompt":"a"}', { 'Content-Type': 'application/json; charset=latin1' }),
      415,
      'unsupported_media_type',
    ],
    [
      'a type that only begins well',
      json('{"prompt":"a"}', { 'Content-Type': 'application/jsonp' }),
      415,
      'unsupported_media_type',
    ],
    [
      'problem+json',
      json('{"prompt":"a"}', { 'Content-Type': 'application/problem+json' }),
      415,
      'unsupported_media_type',
    ],
    [
      'two types',
      json('{"prompt":"a"}', { 'Content-Type': 'application/json, text/plain' }),
      415,
      'unsupported_media_type',
    ],
    [
      'a compressed body',
      json('{"prompt":"a"}', { 'Content-Encoding': 'gzip' }),
      415,
      'unsupported_encoding',
    ],
    ['no prompt', json('{}'), 400, 'missing_parameter'],
    ['Prompt', json('{"Prompt":"a"}'), 400, 'missing_parameter'],
    ['a prompt of null', json('{"prompt":null}'), 400, 'invalid_parameter'],
    ['a prompt that is a number', json('{"prompt":1}'), 400, 'invalid_parameter'],
    ['a prompt of spaces', json('{"prompt":" \\t\\n"}'), 400, 'prompt_empty'],
    ['a prompt of U+200B', json('{"prompt":"\\u200b"}'), 400, 'prompt_empty'],
    ['a prompt of marks', json('{"prompt":"\\u0301\\u0301"}'), 400, 'prompt_empty'],
    [
      '2,001 code points',
      json(JSON.stringify({ prompt: 'x'.repeat(2001) })),
      400,
      'prompt_too_long',
    ],
    [
      '2,001 astral code points',
      json(JSON.stringify({ prompt: '🌵'.repeat(2001) })),
      400,
      'prompt_too_long',
    ],
    [
      '8,193 bytes of prompt',
      json(JSON.stringify({ prompt: 'x'.repeat(8193) })),
      400,
      'prompt_too_long',
    ],
    [
      '33 combining marks',
      json(JSON.stringify({ prompt: `e${'\u0301'.repeat(33)}` })),
      400,
      'invalid_parameter',
    ],
    [
      '2,000 combining marks',
      json(JSON.stringify({ prompt: `e${'\u0301'.repeat(1999)}` })),
      400,
      'invalid_parameter',
    ],
    ['a seed of 2^32', json('{"prompt":"a","seed":4294967296}'), 400, 'invalid_parameter'],
    ['a seed of 2^53+1', json('{"prompt":"a","seed":9007199254740993}'), 400, 'invalid_parameter'],
    ['a seed of 1e400', json('{"prompt":"a","seed":1e400}'), 400, 'invalid_parameter'],
    ['a negative seed', json('{"prompt":"a","seed":-1}'), 400, 'invalid_parameter'],
    ['a seed as text', json('{"prompt":"a","seed":"7"}'), 400, 'invalid_parameter'],
    [
      'a width that is no multiple',
      json('{"prompt":"a","width":1000,"height":1024}'),
      400,
      'invalid_parameter',
    ],
    ['a width without a height', json('{"prompt":"a","width":128}'), 400, 'missing_parameter'],
    ['a size over the pixels', json('{"prompt":"a","size":"2048x1040"}'), 400, 'invalid_parameter'],
    [
      'two sizes',
      json('{"prompt":"a","size":"128x128","width":64,"height":64}'),
      400,
      'invalid_parameter',
    ],
    [
      'an exact size it cannot draw',
      json('{"prompt":"a","size":"256x256","size_policy":"exact"}'),
      400,
      'invalid_parameter',
    ],
    ['guidance over 20', json('{"prompt":"a","guidance_scale":20.01}'), 400, 'invalid_parameter'],
    [
      'guidance of three decimals',
      json('{"prompt":"a","guidance_scale":7.005}'),
      400,
      'invalid_parameter',
    ],
    [
      'guidance above the model’s',
      json('{"prompt":"a","guidance_scale":9}'),
      400,
      'invalid_parameter',
    ],
    ['format gif', json('{"prompt":"a","output_format":"gif"}'), 400, 'invalid_parameter'],
    [
      'compression of a png',
      json('{"prompt":"a","output_compression":50}'),
      400,
      'invalid_parameter',
    ],
    [
      'a transparent jpeg',
      json('{"prompt":"a","output_format":"jpeg","background":"transparent"}'),
      400,
      'invalid_parameter',
    ],
    [
      'steps that contradict',
      json('{"prompt":"a","steps":2,"num_inference_steps":4}'),
      400,
      'invalid_parameter',
    ],
    [
      'a model as path',
      json('{"prompt":"a","model":"../../etc/passwd"}'),
      400,
      'invalid_parameter',
    ],
    [
      'a model as URL',
      json('{"prompt":"a","model":"https://x.example/m"}'),
      400,
      'invalid_parameter',
    ],
    [
      'a model of 10 kB',
      json(JSON.stringify({ prompt: 'a', model: 'x'.repeat(10_000) })),
      400,
      'invalid_parameter',
    ],
    ['model __proto__', json('{"prompt":"a","model":"__proto__"}'), 404, 'model_not_found'],
    ['metadata as an object', json('{"prompt":"a","metadata":{}}'), 400, 'invalid_parameter'],
    [
      'an idempotency key with a space',
      json('{"prompt":"a"}', { 'Idempotency-Key': 'a b' }),
      400,
      'invalid_idempotency_key',
    ],
    [
      'an idempotency key of 256',
      json('{"prompt":"a"}', { 'Idempotency-Key': 'x'.repeat(256) }),
      400,
      'invalid_idempotency_key',
    ],
  ];

  test.each(cases)('generations refuse %s', async (_, init, status, code) => {
    const response = await edge.generate({}, init);
    const body = openAiErrorBody.parse(await readJson(response));
    expect([response.status, body.code]).toEqual([status, code]);
    expect(body.error.message).toBe(body.detail);
    expect(body.request_id).toBe(response.headers.get('X-Request-Id'));
    expect(response.headers.get('Cache-Control')).toBe('no-store');
    expect(response.headers.get('Content-Type')).toBe('application/json');
    expect(edge.upstream.received).toEqual([]);
  });

  const accepted: [string, RequestInit][] = [
    [
      'a charset in quotes',
      json('{"prompt":"b1"}', { 'Content-Type': 'application/json;charset="UTF-8"' }),
    ],
    ['64 members', json(wide(63).replace('}', ',"prompt":"b2"}'))],
    ['six levels', json(deep(6).replace('"a"', '"b3"'))],
    [
      '65,536 bytes of unknown text',
      json(
        JSON.stringify({ prompt: 'b4', zzz: '' }).replace(
          '"zzz":""',
          `"zzz":"${'x'.repeat(65_536 - 24)}"`,
        ),
      ),
    ],
    ['2,000 astral code points', json(JSON.stringify({ prompt: '🌵'.repeat(2000) }))],
    ['32 combining marks', json(JSON.stringify({ prompt: `e${'\u0301'.repeat(32)}` }))],
    ['U+FFFD, bidi marks and NUL', json(JSON.stringify({ prompt: '\ufffd\u202e\0' }))],
    [
      'members named __proto__ and constructor',
      json('{"prompt":"b5","__proto__":{"x":1},"constructor":{"prototype":{"x":1}}}'),
    ],
    [
      'what an internal caller might set',
      json('{"prompt":"b6","priority":9,"tenant":"x","api_base":"http://x","webhook_secret":"y"}'),
    ],
    ['an idempotency key in quotes', json('{"prompt":"b7"}', { 'Idempotency-Key': '"k-1"' })],
  ];
  test.each(accepted)('generations accept %s', async (_, init) => {
    const response = await edge.generate({}, init);
    expect([response.status, await response.text()]).toEqual([
      200,
      expect.stringContaining('b64_json'),
    ]);
  });

  test('generations cannot be made to write another record into a stream', async () => {
    const prompt = 'a\r\ndata: {"type":"x"}\n\nevent: image_generation.completed\n\n\u2028';
    const body = { prompt, stream: true, user: 'x\n\ndata: y', safety_identifier: '\n\ndata: z' };
    const events = await readEvents(await edge.generate(body));
    expect(events.map(({ event }) => event)).toEqual(['image_generation.completed']);
    expect(events[0]!.data.safety_identifier).toBe('\n\ndata: z');
  });

  test('generations give up on a body that does not arrive', async () => {
    const head = [
      'POST /v1/images/generations HTTP/1.1',
      'Host: edge.test',
      'Content-Type: application/json',
      `Authorization: Bearer ${edge.key}`,
      'Content-Length: 1000',
      '',
      '{"prompt":',
    ].join('\r\n');
    const raw = rawRequest(edge.url, head);
    expect(await raw.has(/\r\n\r\n.*"code":"request_timeout"/s)).toMatch(/^HTTP\/1\.1 408 /);
    raw.socket.destroy();
  });

  test('generations bound a body that does not say how long it is', async () => {
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    const head = [
      'POST /v1/images/generations HTTP/1.1',
      'Host: edge.test',
      'Content-Type: application/json',
      `Authorization: Bearer ${edge.key}`,
      'Transfer-Encoding: chunked',
      '',
      chunk + chunk,
    ].join('\r\n');
    const raw = rawRequest(edge.url, head);
    expect(await raw.has(/"code":"payload_too_large"/)).toMatch(/^HTTP\/1\.1 413 /);
    raw.socket.destroy();
  });

  test('generations name the models that there are', async () => {
    const { data } = await client.models.list();
    expect(data.map(({ id }) => id)).toEqual([MODEL.id]);
    expect((await client.models.retrieve(MODEL.id)).id).toBe(MODEL.id);
  });
});
