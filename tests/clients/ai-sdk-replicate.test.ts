/** Both generations of the AI SDK with their Replicate providers, against the real Worker on workerd. */
import { createReplicate } from '@ai-sdk/replicate';
import { generateImage } from 'ai';
import { experimental_generateImage as generateImage6 } from 'ai-6';
import { createReplicate as createReplicate2 } from 'ai-sdk-replicate-2';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type RunningEdge, startEdge } from '../helpers/edge.ts';
import { MODEL, REVISION } from '../helpers/model.ts';

type Options = Omit<Parameters<typeof generateImage>[0], 'model'>;
type Draw = (options: Options, id?: string) => Promise<{ images: { base64: string }[] }>;

let edge: RunningEdge;
const clients: Record<string, Draw> = {};

beforeAll(async () => {
  edge = await startEdge();
  const settings = { apiToken: edge.key, baseURL: `${edge.url}/v1` };
  clients['ai 7'] = (options, id = MODEL.id) =>
    generateImage({ ...options, model: createReplicate(settings).image(id) });
  clients['ai 6'] = (options, id = MODEL.id) =>
    generateImage6({ ...options, model: createReplicate2(settings).image(id) } as never);
});
afterAll(() => edge[Symbol.asyncDispose]());
beforeEach(() => {
  edge.upstream.behaviour = {};
  edge.upstream.received.length = 0;
});

let count = 0;
function newPrompt(): string {
  count += 1;
  return `a hare, number ${count}`;
}

describe.each(['ai 7', 'ai 6'])('generateImage() of %s', (name) => {
  test('generateImage() draws four different pictures for n = 4 without a seed', async () => {
    const { images } = await clients[name]!({ prompt: newPrompt(), n: 4 });
    expect(new Set(images.map(({ base64 }) => base64)).size).toBe(4);
    expect(edge.upstream.received).toHaveLength(4);
  });

  test('generateImage() draws one picture for one seed, however often it is asked at once', async () => {
    const { images } = await clients[name]!({ prompt: newPrompt(), n: 3, seed: 11 });
    expect(new Set(images.map(({ base64 }) => base64)).size).toBe(1);
    expect(edge.upstream.received).toHaveLength(1);
  });

  test('generateImage() passes size and provider options on', async () => {
    await clients[name]!(
      {
        prompt: newPrompt(),
        size: '256x192',
        providerOptions: {
          replicate: {
            num_inference_steps: 6,
            guidance_scale: 3.5,
            output_format: 'png',
            output_quality: 80,
          },
        },
      },
      `${MODEL.id}:${REVISION}`,
    );
    expect(edge.upstream.received[0]!.input).toMatchObject({
      width: 256,
      height: 192,
      num_inference_steps: 6,
      guidance_scale: 3.5,
      output_format: 'png',
    });
  });

  test('generateImage() makes a shape out of an aspect ratio', async () => {
    await clients[name]!({ prompt: newPrompt(), aspectRatio: '16:9' });
    expect(edge.upstream.received[0]!.input).toMatchObject({ width: 176, height: 96 });
  });

  test('generateImage() says what is wrong', async () => {
    const wrong = clients[name]!({
      prompt: newPrompt(),
      maxRetries: 0,
      providerOptions: { replicate: { num_inference_steps: 50 } },
    });
    await expect(wrong).rejects.toThrow(/num_inference_steps must be an integer from 1 to 8/);
  });

  test('generateImage() that is aborted throws', async () => {
    edge.upstream.behaviour = { during: () => new Promise(() => undefined) };
    const controller = new AbortController();
    const running = clients[name]!({
      prompt: newPrompt(),
      maxRetries: 0,
      abortSignal: controller.signal,
    });
    running.catch(() => undefined);
    await edge.upstream.when(() => edge.upstream.received.length === 1);
    controller.abort();
    await expect(running).rejects.toThrow();
  });
});

test('generateImage() of ai 7 polls on when the wait is over before the work', async () => {
  const held = Promise.withResolvers<void>();
  edge.upstream.behaviour = { during: () => held.promise };
  const running = clients['ai 7']!({
    prompt: newPrompt(),
    providerOptions: { replicate: { maxWaitTimeInSeconds: 1, pollIntervalMillis: 50 } },
  });
  const done = running.then(({ images }) => images.length);
  await edge.upstream.when(() => edge.upstream.received.length === 1);
  await expect.poll(() => pollsSeen()).toBeGreaterThan(0);
  held.resolve();
  expect(await done).toBe(1);
});

/** How often the state of a prediction was asked for. */
function pollsSeen(): number {
  return edge.log.filter(
    ({ event, method, path }) =>
      event === 'request.completed' &&
      method === 'GET' &&
      /^\/v1\/predictions\/[a-z2-7]{26}$/.test(String(path)),
  ).length;
}
