/** The real `@fal-ai/client` through the proxy route, against the real Worker on workerd. */
import { createFalClient, type FalClient, type QueueStatus, ValidationError } from '@fal-ai/client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { progressLine } from '#shared/progress-line.ts';
import { type RunningEdge, startEdge } from '../helpers/edge.ts';
import { MODEL } from '../helpers/model.ts';
import { makePng } from '../helpers/picture.ts';
import { send, toDataUri } from '../helpers/upstream.ts';

// The client types apps of its own catalogue; ours is not among them.
const APP = MODEL.id as string;

interface Result {
  readonly images: readonly { url: string; width: number; height: number; content_type: string }[];
  readonly seed: number;
  readonly prompt: string;
  readonly has_nsfw_concepts: readonly boolean[];
}

let edge: RunningEdge;
let fal: FalClient;

beforeAll(async () => {
  edge = await startEdge();
  fal = createFalClient({
    credentials: edge.key,
    proxyUrl: { url: `${edge.url}/fal/proxy`, when: 'always' },
  });
});
afterAll(() => edge[Symbol.asyncDispose]());
beforeEach(() => {
  edge.upstream.behaviour = {};
  edge.upstream.received.length = 0;
});

let count = 0;
function newPrompt(): string {
  count += 1;
  return `an owl, number ${count}`;
}

describe('fal.run()', () => {
  test('fal.run() answers with pictures, their seed and a request id', async () => {
    const prompt = newPrompt();
    const input = { prompt, seed: 5, num_images: 2, image_size: 'square' };
    const { data, requestId } = await fal.run(APP, { input });
    const { images, seed, has_nsfw_concepts, prompt: echoed } = data as unknown as Result;
    expect([seed, echoed, has_nsfw_concepts]).toEqual([5, prompt, [false, false]]);
    expect(images).toMatchObject([
      { width: 512, height: 512, content_type: 'image/png' },
      { width: 512, height: 512 },
    ]);
    expect(requestId).toMatch(/^[a-z2-7]{26}$/);
    for (const { url } of images) expect((await fetch(url)).status).toBe(200);
  });

  test('fal.run() answers with data URIs in sync mode', async () => {
    const { data } = await fal.run(APP, { input: { prompt: newPrompt(), sync_mode: true } });
    expect((data as unknown as Result).images[0]!.url).toMatch(/^data:image\/png;base64,iVBOR/);
  });

  test('fal.run() raises a ValidationError that names the member', async () => {
    const wrong = fal.run(APP, { input: { prompt: newPrompt(), num_images: 99 } });
    const error = (await wrong.catch((reason: unknown) => reason)) as ValidationError;
    expect(error).toBeInstanceOf(ValidationError);
    expect(error.getFieldErrors('num_images')).toHaveLength(1);
    expect(error.message).toContain('num_images');
    expect(edge.upstream.received).toHaveLength(0);
  });

  test('fal.run() knows no app that is not a model here, and calls nothing elsewhere', async () => {
    await expect(fal.run('fal-ai/flux/schnell', { input: {} as never })).rejects.toMatchObject({
      status: 404,
    });
  });
});

describe('fal.subscribe()', () => {
  test.each(['polling', 'streaming'] as const)(
    'fal.subscribe() by %s tells the steps and gives the result',
    async (mode) => {
      const held = Promise.withResolvers<void>();
      edge.upstream.behaviour = {
        during: async (response) => {
          send(response, 'log', { data: progressLine({ done: 1, total: 2, elapsedMs: 3 }) });
          await held.promise;
        },
      };
      const statuses: string[] = [];
      const lines: string[] = [];
      const { data } = await fal.subscribe(APP, {
        input: { prompt: newPrompt() },
        mode,
        logs: true,
        pollInterval: 50,
        onQueueUpdate: (update: QueueStatus) => {
          statuses.push(update.status);
          if (!('logs' in update)) return;
          for (const { message } of update.logs ?? []) lines.push(message);
          if (lines.length > 0) held.resolve();
        },
      } as never);
      expect((data as unknown as Result).images).toHaveLength(1);
      expect(statuses).toContain('IN_PROGRESS');
      expect(statuses.at(-1)).toBe('COMPLETED');
      expect(lines[0]).toContain('1/2');
    },
  );
});

describe('fal.queue', () => {
  test('fal.queue cancels what runs, and the function stops', async () => {
    edge.upstream.behaviour = { during: () => new Promise(() => undefined) };
    const { request_id } = await fal.queue.submit(APP, { input: { prompt: newPrompt() } });
    await fal.queue.cancel(APP, { requestId: request_id });
    await edge.upstream.when(() => edge.upstream.received[0]?.outcome === 'canceled');
    const status = await fal.queue.status(APP, { requestId: request_id });
    expect(status.status).toBe('COMPLETED');
    await expect(fal.queue.result(APP, { requestId: request_id })).rejects.toMatchObject({
      status: 400,
    });
    await expect(fal.queue.cancel(APP, { requestId: request_id })).rejects.toMatchObject({
      status: 400,
    });
  });

  test('fal.queue has nothing under an id that it never gave', async () => {
    const requestId = 'a'.repeat(26);
    await expect(fal.queue.status(APP, { requestId })).rejects.toMatchObject({ status: 404 });
  });
});

describe('fal.stream()', () => {
  test('fal.stream() yields previews and the result last', async () => {
    const preview = toDataUri(makePng(16, 16, 0x224466));
    edge.upstream.behaviour = {
      during: (response) =>
        send(response, 'preview', { index: 0, step: 2, steps: 4, image: preview }),
    };
    const stream = await fal.stream(APP, { input: { prompt: newPrompt() } });
    const urls: string[] = [];
    for await (const item of stream) urls.push((item as unknown as Result).images[0]!.url);
    expect(urls[0]).toBe(preview);
    expect(urls.at(-1)).toMatch(/\/i\/[0-9a-f]{64}\.png$/);
    const result = (await stream.done()) as unknown as Result;
    expect(result.images[0]!.url).toBe(urls.at(-1));
  });

  test('fal.stream() reports a failure as an error', async () => {
    edge.upstream.behaviour = { during: (response) => void response.destroy() };
    const stream = await fal.stream(APP, { input: { prompt: newPrompt() } });
    await expect(stream.done()).rejects.toThrow();
  });

  test('fal.stream() that is aborted stops the work', async () => {
    edge.upstream.behaviour = { during: () => new Promise(() => undefined) };
    const stream = await fal.stream(APP, { input: { prompt: newPrompt() } });
    await edge.upstream.when(() => edge.upstream.received.length === 1);
    stream.abort();
    await edge.upstream.when(() => edge.upstream.received[0]?.outcome === 'canceled');
  });
});
