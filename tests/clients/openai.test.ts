/** OpenAI's own client, both generations that are in use, against the Worker on workerd. */
import { createHash } from 'node:crypto';
import OpenAi7 from 'openai';
import OpenAi6 from 'openai-6';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ClientKeys, createClientKeys } from '../helpers/client-keys.ts';
import { type RunningEdge, startEdge } from '../helpers/edge.ts';
import { type RecordedFetch, recordFetch } from '../helpers/recorded-fetch.ts';
import { pictureOf, send, toDataUri } from '../helpers/upstream.ts';

const GENERATIONS = [
  ['openai 7', OpenAi7],
  ['openai 6', OpenAi6 as unknown as typeof OpenAi7],
] as const;

let keys: ClientKeys;
let edge: RunningEdge;

beforeAll(async () => {
  keys = await createClientKeys(GENERATIONS.map(([name]) => name));
  edge = await startEdge({ bindings: { API_KEYS_BOOTSTRAP: keys.binding } });
});

afterAll(() => edge?.[Symbol.asyncDispose]());

beforeEach(() => {
  edge.upstream.behaviour = {};
});

let prompts = 0;
const newPrompt = () => `a picture that nobody has asked for, number ${prompts++}`;
const sha256 = (text: string) =>
  createHash('sha256').update(Buffer.from(text, 'base64')).digest('hex');
const PREVIEW = toDataUri(pictureOf({ width: 16, height: 16, seed: 1, prompt: '' }));

/** Shows the picture after each of four steps, then draws it. */
const previews = {
  during: (response: Parameters<typeof send>[0]) => {
    for (const step of [1, 2, 3, 4]) {
      send(response, 'preview', { index: 0, step, steps: 4, image: PREVIEW });
    }
  },
};

describe.each(GENERATIONS)('%s', (name, OpenAi) => {
  let recorded: RecordedFetch;

  function connect(options: Partial<ConstructorParameters<typeof OpenAi7>[0]> = {}) {
    recorded = recordFetch();
    return new OpenAi({
      apiKey: keys.wide,
      baseURL: `${edge.url}/v1`,
      maxRetries: 0,
      fetch: recorded.fetch,
      ...options,
    });
  }

  const thrownBy = (work: Promise<unknown>) =>
    work.then(
      () => expect.fail('nothing was thrown'),
      (error: unknown) => error,
    );

  it('gets a picture as base64, and the id of the request', async () => {
    const answer = await connect().images.generate({ prompt: newPrompt() });
    const [picture] = answer.data as { b64_json: string; id: string; seed: number }[];
    expect(sha256(picture!.b64_json)).toBe(picture!.id);
    expect(answer).toMatchObject({
      output_format: 'png',
      size: '128x128',
      usage: { input_tokens: 7, output_tokens: 64, total_tokens: 71 },
      _request_id: expect.stringMatching(/^req_[0-9a-f]{24}$/),
    });
  });

  it('gets a URL that holds the same picture', async () => {
    const prompt = newPrompt();
    const client = connect();
    const { data: asUrl } = await client.images.generate({ prompt, response_format: 'url' });
    const { data: asText } = await client.images.generate({ prompt });
    const file = Buffer.from(await (await fetch(asUrl![0]!.url!)).arrayBuffer());
    expect(file.toString('base64')).toBe(asText![0]!.b64_json);
    expect(asUrl![0]!.b64_json).toBeUndefined();
  });

  it('gets two different pictures with n = 2, the second of them the one with the next seed', async () => {
    const prompt = newPrompt();
    const client = connect();
    const body = { prompt, n: 2, seed: 4_294_967_295 } as OpenAi7.ImageGenerateParamsNonStreaming;
    const { data } = await client.images.generate(body);
    expect(new Set(data!.map((picture) => picture.b64_json)).size).toBe(2);
    const next = { prompt, seed: 0 } as OpenAi7.ImageGenerateParamsNonStreaming;
    expect((await client.images.generate(next)).data![0]!.b64_json).toBe(data![1]!.b64_json);
  });

  it.each([0, 1, 3])('streams with %i previews', async (count) => {
    edge.upstream.behaviour = previews;
    const stream = await connect().images.generate({
      prompt: newPrompt(),
      stream: true,
      partial_images: count,
    });
    const types: string[] = [];
    for await (const event of stream) {
      types.push(event.type);
      if (event.type === 'image_generation.partial_image') {
        expect(event.partial_image_index).toBe(types.length - 1);
        expect(`data:image/png;base64,${event.b64_json}`).toBe(PREVIEW);
      } else {
        expect(sha256(event.b64_json)).toBe((event as unknown as { id: string }).id);
        expect(event.usage.total_tokens).toBe(71);
      }
    }
    expect(types).toEqual([
      ...Array.from({ length: count }, () => 'image_generation.partial_image'),
      'image_generation.completed',
    ]);
  });

  it('stops the work when the loop over the stream is left', async () => {
    const prompt = newPrompt();
    edge.upstream.behaviour = {
      during: (response) => {
        send(response, 'preview', { index: 0, step: 1, steps: 4, image: PREVIEW });
        return new Promise(() => undefined);
      },
    };
    const stream = await connect().images.generate({ prompt, stream: true, partial_images: 1 });
    for await (const _ of stream) break;
    const received = edge.upstream.received.find(({ input }) => input.prompt === prompt);
    await edge.upstream.when(() => received?.outcome === 'canceled');
  });

  it('stops the work when a plain request is aborted by its signal', async () => {
    const prompt = newPrompt();
    edge.upstream.behaviour = { during: () => new Promise(() => undefined) };
    const controller = new AbortController();
    const call = connect().images.generate({ prompt, stream: true }, { signal: controller.signal });
    const drawn = (async () => {
      for await (const _ of await call);
    })();
    const find = () => edge.upstream.received.find(({ input }) => input.prompt === prompt);
    await edge.upstream.when(() => find() !== undefined);
    controller.abort();
    await drawn.catch((error: unknown) => expect(error).toBeInstanceOf(OpenAi.APIUserAbortError));
    await edge.upstream.when(() => find()?.outcome === 'canceled');
  });

  it('reports a mistake with its field, before a stream as well', async () => {
    const client = connect();
    const calls = [
      client.images.generate({ prompt: newPrompt(), n: 11 }),
      client.images.generate({ prompt: newPrompt(), n: 11, stream: true }),
    ];
    for (const call of calls) {
      const error = await thrownBy(call);
      expect(error).toBeInstanceOf(OpenAi.BadRequestError);
      expect(error).toMatchObject({
        status: 400,
        message: '400 n must be an integer from 1 to 10, not 11.',
        code: 'invalid_value',
        param: 'n',
        type: 'invalid_request_error',
        requestID: expect.stringMatching(/^req_/),
      });
    }
  });

  it.each([
    ['AuthenticationError', 401, 'invalid_api_key', { apiKey: 'pxe_sk_nobody' }, {}],
    ['NotFoundError', 404, 'model_not_found', {}, { model: 'nobody/nothing' }],
    ['NotFoundError', 404, 'unknown_url', { path: '/v1/nothing' }, {}],
  ] as const)(
    'reports %s for %i %s',
    async (type, status, code, { path, ...options }: { path?: string; apiKey?: string }, body) => {
      const baseURL = `${edge.url}${path ?? '/v1'}`;
      const call = connect({ baseURL, ...options }).images.generate({ prompt: 'a cat', ...body });
      const error = await thrownBy(call);
      expect(error).toBeInstanceOf(OpenAi[type]);
      expect(error).toMatchObject({ status, code, requestID: expect.stringMatching(/^req_/) });
    },
  );

  it('throws what ended a stream in its middle', async () => {
    edge.upstream.behaviour = {
      during: (response) => {
        send(response, 'preview', { index: 0, step: 1, steps: 4, image: PREVIEW });
        setImmediate(() => response.destroy());
        return new Promise(() => undefined);
      },
    };
    const stream = await connect().images.generate({
      prompt: newPrompt(),
      stream: true,
      partial_images: 1,
    });
    const types: string[] = [];
    const watch = async () => {
      for await (const { type } of stream) types.push(type);
    };
    const error = await thrownBy(watch());
    expect(error).toBeInstanceOf(OpenAi.APIError);
    expect(error).toMatchObject({ status: undefined, type: 'server_error' });
    expect(types).toEqual(['image_generation.partial_image']);
  });

  it('comes back after 429 when retry-after-ms says, and is served', async () => {
    const client = connect({ apiKey: keys.narrow.get(name)!, maxRetries: 2 });
    const draw = () => client.images.generate({ prompt: newPrompt() });
    const answers = await Promise.all([draw(), draw()]);
    expect(answers.map(({ data }) => data?.length)).toEqual([1, 1]);
    const { headers } = recorded.exchanges.find(
      ({ response }) => response.status === 429,
    )!.response;
    const hint = Number(headers.get('retry-after-ms'));
    expect(hint).toBeGreaterThan(0);
    expect(hint).toBeLessThanOrEqual(3000);
    expect(headers.get('retry-after')).toBe(String(Math.ceil(hint / 1000)));
    expect(headers.get('x-should-retry')).toBe('true');
    expect(recorded.exchanges).toHaveLength(3);
  });

  it('does not come back when x-should-retry says no', async () => {
    const headers = { 'Cache-Control': 'only-if-cached' };
    const client = connect({ maxRetries: 5 });
    const error = await thrownBy(client.images.generate({ prompt: newPrompt() }, { headers }));
    expect(error).toMatchObject({ status: 504, code: 'not_cached' });
    expect(recorded.exchanges).toHaveLength(1);
  });

  it('comes back after 503 until the model server is there again', async () => {
    let refusals = 0;
    edge.upstream.behaviour = {
      before: (response) => {
        if (refusals++ === 0) response.writeHead(409, { 'Retry-After': '1' }).end('{}');
      },
    };
    const { data } = await connect({ maxRetries: 2 }).images.generate({ prompt: newPrompt() });
    expect(data).toHaveLength(1);
    expect(recorded.exchanges.map(({ response }) => response.status)).toEqual([503, 200]);
  });

  it('lists the models and retrieves one whose id has a slash', async () => {
    const client = connect();
    const { data } = await client.models.list();
    expect(data.map(({ id, object }) => [id, object])).toEqual([
      ['pixart-edge/stickers-nano', 'model'],
    ]);
    const model = await client.models.retrieve('pixart-edge/stickers-nano');
    expect(model).toMatchObject({
      id: 'pixart-edge/stickers-nano',
      owned_by: 'pixart-edge',
      _request_id: expect.stringMatching(/^req_/),
    });
    expect(await thrownBy(client.models.retrieve('nobody/nothing'))).toBeInstanceOf(
      OpenAi.NotFoundError,
    );
  });

  it('reads the budget from the headers of the raw response', async () => {
    const { response } = await connect().images.generate({ prompt: newPrompt() }).withResponse();
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('10000');
    expect(response.headers.get('x-ratelimit-remaining-requests')).toMatch(/^\d+$/);
    expect(response.headers.get('x-ratelimit-reset-requests')).toMatch(/^\d+m?s$/);
    expect(response.headers.get('openai-processing-ms')).toMatch(/^\d+$/);
  });
});
