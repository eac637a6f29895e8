/** `generateImage` of the AI SDK through its OpenAI-compatible provider, both generations, against the Worker on workerd. */
import { createOpenAICompatible as createProvider3 } from '@ai-sdk/openai-compatible';
import { generateImage as generateImage7 } from 'ai';
import { experimental_generateImage as generateImage6 } from 'ai-6';
import { createOpenAICompatible as createProvider2 } from 'ai-sdk-openai-compatible-2';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ClientKeys, createClientKeys } from '../helpers/client-keys.ts';
import { type RunningEdge, startEdge } from '../helpers/edge.ts';
import { recordFetch } from '../helpers/recorded-fetch.ts';

const GENERATIONS = [
  ['ai 7', generateImage7, createProvider3],
  [
    'ai 6',
    generateImage6 as unknown as typeof generateImage7,
    createProvider2 as unknown as typeof createProvider3,
  ],
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
const newPrompt = () => `something else to draw, number ${prompts++}`;
const MODEL = 'pixart-edge/stickers-nano';

describe.each(GENERATIONS)('%s', (name, generateImage, createOpenAICompatible) => {
  function connect(apiKey = keys.wide) {
    const recorded = recordFetch();
    const provider = createOpenAICompatible({
      name: 'pixart',
      baseURL: `${edge.url}/v1`,
      apiKey,
      fetch: recorded.fetch,
    });
    return { ...recorded, model: provider.imageModel(MODEL) };
  }

  const thrownBy = (work: Promise<unknown>) =>
    work.then(
      () => expect.fail('nothing was thrown'),
      (error: unknown) => error,
    );

  it('gets a picture with its media type', async () => {
    const { image } = await generateImage({ model: connect().model, prompt: newPrompt() });
    expect(image.mediaType).toBe('image/png');
    expect(Buffer.from(image.uint8Array).toString('latin1', 1, 4)).toBe('PNG');
  });

  it('gets as many different pictures as n says in one request', async () => {
    const { model, exchanges } = connect();
    const { images } = await generateImage({ model, prompt: newPrompt(), n: 4 });
    expect(new Set(images.map(({ base64 }) => base64)).size).toBe(4);
    expect(exchanges).toHaveLength(1);
  });

  it('gets the size that it asks for', async () => {
    const prompt = newPrompt();
    const { image } = await generateImage({ model: connect().model, prompt, size: '256x192' });
    const header = Buffer.from(image.uint8Array);
    expect([header.readUInt32BE(16), header.readUInt32BE(20)]).toEqual([256, 192]);
  });

  it('passes a seed and other extensions on through providerOptions', async () => {
    const prompt = newPrompt();
    await generateImage({
      model: connect().model,
      prompt,
      providerOptions: { pixart: { seed: 77, num_inference_steps: 2 } },
    });
    const received = edge.upstream.received.find(({ input }) => input.prompt === prompt);
    expect(received?.input).toMatchObject({
      seed: 77,
      num_inference_steps: 2,
    });
  });

  it('fetches pictures that come as URLs; the older one asks for base64 whatever it is told', async () => {
    const { model, exchanges } = connect();
    const prompt = newPrompt();
    const providerOptions = { pixart: { response_format: 'url' } };
    const { image } = await generateImage({ model, prompt, providerOptions });
    const { image: inline } = await generateImage({ model, prompt });
    expect(image.base64).toBe(inline.base64);
    expect(exchanges.some(({ method }) => method === 'GET')).toBe(name === 'ai 7');
  });

  it('stops the work when its signal is aborted', async () => {
    const prompt = newPrompt();
    edge.upstream.behaviour = { during: () => new Promise(() => undefined) };
    const controller = new AbortController();
    const { model } = connect();
    const call = generateImage({ model, prompt, abortSignal: controller.signal });
    const find = () => edge.upstream.received.find(({ input }) => input.prompt === prompt);
    await edge.upstream.when(() => find() !== undefined);
    controller.abort();
    expect(await thrownBy(call)).toMatchObject({ name: 'AbortError' });
  });

  it('reports a mistake in the words of the service', async () => {
    const { model } = connect();
    const call = generateImage({
      model,
      prompt: newPrompt(),
      providerOptions: { pixart: { seed: -1 } },
    });
    expect(await thrownBy(call)).toMatchObject({
      statusCode: 400,
      message: expect.stringContaining('seed must be an integer from 0 to 4294967295, not -1'),
      isRetryable: false,
    });
  });

  it('reports a key that is not valid', async () => {
    const { model } = connect('pxe_sk_nobody');
    const error = await thrownBy(generateImage({ model, prompt: newPrompt() }));
    expect(error).toMatchObject({ statusCode: 401 });
  });

  it('comes back after 429 when retry-after-ms says', async () => {
    const { model, exchanges } = connect(keys.narrow.get(name));
    const draw = () => generateImage({ model, prompt: newPrompt() });
    const drawn = await Promise.all([draw(), draw()]);
    expect(drawn.map(({ images }) => images.length)).toEqual([1, 1]);
    expect(exchanges.map(({ response }) => response.status)).toContain(429);
  });
});
