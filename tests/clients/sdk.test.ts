/** The SDK against the Worker on workerd. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BadRequestError, PixartEdge, ServerError } from '#shared/client/index.ts';
import { type ClientKeys, createClientKeys } from '../helpers/client-keys.ts';
import { type RunningEdge, startEdge } from '../helpers/edge.ts';
import { recordFetch } from '../helpers/recorded-fetch.ts';
import { pictureOf, send, toDataUri } from '../helpers/upstream.ts';

let keys: ClientKeys;
let edge: RunningEdge;

beforeAll(async () => {
  keys = await createClientKeys(['narrow']);
  edge = await startEdge({ bindings: { API_KEYS_BOOTSTRAP: keys.binding } });
});

afterAll(() => edge?.[Symbol.asyncDispose]());

beforeEach(() => {
  edge.upstream.behaviour = {};
});

let prompts = 0;
const newPrompt = () => `a picture by our own client, number ${prompts++}`;
const PREVIEW = toDataUri(pictureOf({ width: 16, height: 16, seed: 1, prompt: '' }));
const received = (prompt: string) =>
  edge.upstream.received.filter(({ input }) => input.prompt === prompt);

function connect(apiKey = keys.wide) {
  const recorded = recordFetch();
  const client = new PixartEdge({ baseURL: edge.url, apiKey, fetch: recorded.fetch });
  return { ...recorded, client };
}

describe('PixartEdge', () => {
  it('draws, and finds the same picture in the cache and at its URL', async () => {
    const { client } = connect();
    const prompt = newPrompt();
    const first = await client.generate({ prompt, n: 2 });
    const [one, two] = first.images;
    expect(first).toMatchObject({
      model: 'pixart-edge/stickers-nano',
      size: '128x128',
      warnings: [],
      requestId: expect.stringMatching(/^req_/),
    });
    expect([one?.cache, two?.cache, two!.seed! - one!.seed!]).toEqual(['miss', 'miss', 1]);
    const { images } = await client.generate({ prompt, response_format: 'url' });
    expect(images[0]).toMatchObject({ cache: 'hit', id: one?.id, url: one?.url });
    expect(await images[0]!.bytes()).toEqual(await one!.bytes());
    expect(received(prompt)).toHaveLength(2);
  });

  it('shows previews of each picture in its stream', async () => {
    edge.upstream.behaviour = {
      during: (response) => {
        for (const step of [1, 2]) {
          send(response, 'preview', { index: 0, step, steps: 4, image: PREVIEW });
        }
      },
    };
    const seen: string[] = [];
    for await (const event of connect().client.stream({ prompt: newPrompt(), n: 2 })) {
      seen.push(`${event.type} ${event.index}`);
    }
    expect(seen).toEqual([
      ...['preview 0', 'preview 0', 'image 0'],
      ...['preview 1', 'preview 1', 'image 1'],
    ]);
  });

  it('gets its picture though the model server is lost in the middle of the stream', async () => {
    const { client, exchanges } = connect();
    const prompt = newPrompt();
    let losses = 0;
    edge.upstream.behaviour = {
      during: (response) => {
        send(response, 'preview', { index: 0, step: 1, steps: 4, image: PREVIEW });
        if (losses++ > 0) return;
        setImmediate(() => response.destroy());
        return new Promise(() => undefined);
      },
    };
    const types: string[] = [];
    for await (const { type } of client.stream({ prompt })) types.push(type);
    expect(types).toEqual(['preview', 'image']);
    expect(exchanges.length + received(prompt).length).toBeGreaterThanOrEqual(3);
  });

  it('throws one typed error when the model server stays lost', async () => {
    edge.upstream.behaviour = {
      during: (response) => {
        setImmediate(() => response.destroy());
        return new Promise(() => undefined);
      },
    };
    const stream = connect().client.stream({ prompt: newPrompt() }, { maxRetries: 0 });
    const error = await stream.images().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ServerError);
    expect(error).toMatchObject({ code: expect.stringMatching(/^upstream_/), retryable: true });
  });

  it('stops the work by its signal', async () => {
    const prompt = newPrompt();
    edge.upstream.behaviour = { during: () => new Promise(() => undefined) };
    const controller = new AbortController();
    const stream = connect().client.stream({ prompt }, { signal: controller.signal });
    const images = stream.images().catch((thrown: unknown) => thrown);
    await edge.upstream.when(() => received(prompt).length === 1);
    controller.abort();
    expect(await images).toMatchObject({ name: 'AbortError' });
    await edge.upstream.when(() => received(prompt)[0]?.outcome === 'canceled');
  });

  it('waits for its budget as the server says, and is served', async () => {
    const { client, exchanges } = connect(keys.narrow.get('narrow'));
    const draw = () => client.generate({ prompt: newPrompt() }, { maxRetries: 4 });
    const drawn = await Promise.all([draw(), draw()]);
    expect(drawn.map(({ images }) => images.length)).toEqual([1, 1]);
    expect(exchanges.map(({ response }) => response.status)).toContain(429);
  });

  it('draws another picture with no-cache, and the same one if that call is repeated', async () => {
    const { client } = connect();
    const prompt = newPrompt();
    const options = {
      cacheControl: 'no-cache',
      idempotencyKey: `again ${prompt}`.replaceAll(' ', '-'),
    } as const;
    const [usual, other, again] = [
      await client.generate({ prompt }),
      await client.generate({ prompt }, options),
      await client.generate({ prompt }, options),
    ];
    expect(other.images[0]!.seed).not.toBe(usual.images[0]!.seed);
    expect(again.images[0]!.id).toBe(other.images[0]!.id);
    expect(received(prompt)).toHaveLength(2);
  });

  it('says what is wrong with a request', async () => {
    const error = await connect()
      .client.generate({ prompt: newPrompt(), size: '100x100' })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ code: 'invalid_parameter', param: 'size', retryable: false });
  });

  it('lists the models and retrieves one', async () => {
    const { client } = connect();
    const [model] = await client.models();
    expect(model).toMatchObject({ id: 'pixart-edge/stickers-nano', native_size: [128, 128] });
    expect(await client.model(model!.id)).toEqual(model);
  });
});
