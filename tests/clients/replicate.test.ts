/** The real `replicate` client against the real Worker on workerd. */
import Replicate, { parseProgressFromLogs } from 'replicate';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { progressLine } from '#shared/progress-line.ts';
import { predictionObject } from '#shared/schemas/replicate.ts';
import { type RunningEdge, startEdge } from '../helpers/edge.ts';
import { MODEL, REVISION } from '../helpers/model.ts';
import { makePng } from '../helpers/picture.ts';
import { pictureOf, send, toDataUri } from '../helpers/upstream.ts';

const MODEL_REF = MODEL.id as `${string}/${string}`;
const VERSION_REF = `${MODEL.id}:${REVISION}` as `${string}/${string}:${string}`;

let edge: RunningEdge;
let replicate: Replicate;

beforeAll(async () => {
  edge = await startEdge({ bindings: { WEBHOOK_TARGETS: 'any' } });
  replicate = new Replicate({ auth: edge.key, baseUrl: `${edge.url}/v1` });
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

/** Holds the function's work until it is let go. */
function holdUpstream() {
  const held = Promise.withResolvers<void>();
  edge.upstream.behaviour = { during: () => held.promise };
  return { release: () => held.resolve() };
}

describe('replicate.run()', () => {
  test('replicate.run() waits and gives URLs where the pictures are', async () => {
    const prompt = newPrompt();
    const seen: string[] = [];
    const output = await replicate.run(MODEL_REF, { input: { prompt, seed: 7 } }, ({ status }) =>
      seen.push(status),
    );
    expect(seen).toEqual(['succeeded', 'succeeded']);
    const [url] = output as string[];
    const picture = await fetch(url!);
    expect(picture.headers.get('Content-Type')).toBe('image/png');
    const expected = pictureOf({ prompt, seed: 7, width: 128, height: 128 });
    expect(Buffer.from(await picture.arrayBuffer()).equals(Buffer.from(expected))).toBe(true);
  });

  test('replicate.run() draws with a version and polls', async () => {
    const upstream = holdUpstream();
    const seen: string[] = [];
    const running = replicate.run(
      VERSION_REF,
      { input: { prompt: newPrompt() }, wait: { mode: 'poll', interval: 50 } },
      ({ status }) => {
        seen.push(status);
        if (status === 'processing') upstream.release();
      },
    );
    expect(await running).toHaveLength(1);
    expect(seen[0]).toBe('starting');
    expect(seen).toContain('processing');
    expect(seen.at(-1)).toBe('succeeded');
  });

  test('replicate.run() that blocks for less than the work takes goes on to poll', async () => {
    const upstream = holdUpstream();
    const statuses: string[] = [];
    const outputs: unknown[] = [];
    const running = replicate.run(
      MODEL_REF,
      { input: { prompt: newPrompt() }, wait: { mode: 'block', timeout: 1 } },
      ({ status, output }) => {
        statuses.push(status);
        outputs.push(output);
        if (statuses.length === 2) upstream.release();
      },
    );
    expect(await running).toHaveLength(1);
    expect(statuses[0]).toBe('starting');
    // Nothing is in `output` before the end.
    expect(outputs.slice(0, statuses.indexOf('succeeded')).every((one) => one === null)).toBe(true);
  });

  test('replicate.run() cancels by signal, and the function stops', async () => {
    holdUpstream();
    const controller = new AbortController();
    const statuses: string[] = [];
    const running = replicate.run(
      MODEL_REF,
      {
        input: { prompt: newPrompt() },
        wait: { mode: 'poll', interval: 50 },
        signal: controller.signal,
      },
      ({ status }) => {
        statuses.push(status);
        if (status === 'processing') controller.abort();
      },
    );
    expect(await running).toBeNull();
    expect(statuses.at(-1)).toBe('canceled');
    await edge.upstream.when(() => edge.upstream.received[0]?.outcome === 'canceled');
  });

  test('replicate.run() throws with what went wrong', async () => {
    edge.upstream.behaviour = {
      result: (completed) => ({
        ...completed,
        status: 'failed',
        output: null,
        error: 'The picture needs more memory than there is.',
        code: 'out_of_memory',
      }),
    };
    await expect(replicate.run(MODEL_REF, { input: { prompt: newPrompt() } })).rejects.toThrow(
      'Prediction failed: The picture needs more memory than there is.',
    );
  });

  test('replicate.run() names the member that is wrong', async () => {
    const wrong = replicate.run(MODEL_REF, { input: { prompt: newPrompt(), num_outputs: 11 } });
    const error = await wrong.catch((reason: unknown) => reason as Error & { response: Response });
    expect((error as { response: Response }).response.status).toBe(422);
    expect((error as Error).message).toContain('input.num_outputs');
    expect((error as Error).message).toContain('invalid_fields');
    expect(edge.upstream.received).toHaveLength(0);
  });

  test('replicate.run() draws two pictures of one seed, and answers the same again from the cache', async () => {
    const input = { prompt: newPrompt(), seed: 4, num_outputs: 2, output_quality: 80 };
    const first = (await replicate.run(MODEL_REF, { input })) as string[];
    expect(new Set(first).size).toBe(2);
    expect(await replicate.run(MODEL_REF, { input })).toEqual(first);
    expect(edge.upstream.received).toHaveLength(2);
  });

  test('replicate.run() draws something new each time without a seed', async () => {
    const input = { prompt: newPrompt() };
    const [first] = (await replicate.run(MODEL_REF, { input })) as string[];
    const [second] = (await replicate.run(MODEL_REF, { input })) as string[];
    expect(first).not.toBe(second);
  });
});

describe('replicate.stream()', () => {
  test('replicate.stream() yields previews and then the picture as file objects', async () => {
    const prompt = newPrompt();
    const preview = toDataUri(makePng(16, 16, 0x336699));
    edge.upstream.behaviour = {
      during: (response) => {
        send(response, 'preview', { index: 0, step: 2, steps: 4, image: preview });
        send(response, 'log', { data: progressLine({ done: 2, total: 4, elapsedMs: 3 }) });
      },
    };
    const files: string[] = [];
    const events: string[] = [];
    for await (const { event, data } of replicate.stream(MODEL_REF, { input: { prompt } })) {
      events.push(event);
      if (event === 'output') {
        const file = data as unknown as { url(): URL; blob(): Promise<Blob> };
        files.push(file.url().href);
        expect((await file.blob()).type).toBe('image/png');
      }
      if (event === 'logs') expect(parseProgressFromLogs(String(data))?.percentage).toBe(0.5);
    }
    expect(events.filter((event) => event !== 'logs')).toEqual(['output', 'output', 'done']);
    expect(events).toContain('logs');
    expect(files[0]).toBe(preview);
    expect(files[1]).toMatch(/\/i\/[0-9a-f]{64}\.png$/);
  });

  test('replicate.stream() throws when the prediction fails', async () => {
    edge.upstream.behaviour = { during: (response) => void response.destroy() };
    const read = async () => {
      for await (const _ of replicate.stream(MODEL_REF, { input: { prompt: newPrompt() } })) {
        // Nothing is expected.
      }
    };
    await expect(read()).rejects.toThrow('detail');
  });
});

describe('replicate.predictions', () => {
  test('replicate.predictions are listed page by page, newest first', async () => {
    const created: string[] = [];
    const input = { prompt: newPrompt(), seed: 1 };
    await replicate.run(MODEL_REF, { input });
    for (let i = 0; i < 103; i += 1) {
      const { id } = await replicate.predictions.create({ model: MODEL_REF, input });
      created.unshift(id);
    }
    const listed: string[] = [];
    let pages = 0;
    for await (const page of replicate.paginate(replicate.predictions.list)) {
      pages += 1;
      listed.push(...page.map(({ id }) => id));
      if (pages === 2) break;
    }
    expect(listed.slice(0, 103)).toEqual(created);
    expect(new Set(listed).size).toBe(listed.length);
  });

  test('replicate.predictions tell their steps in the log', async () => {
    edge.upstream.behaviour = {
      during: (response) => {
        for (const done of [1, 2, 3, 4]) {
          send(response, 'log', { data: progressLine({ done, total: 4, elapsedMs: done }) });
        }
      },
    };
    const made = await replicate.predictions.create({
      model: MODEL_REF,
      input: { prompt: newPrompt() },
    });
    const done = await replicate.wait(made, { interval: 50 });
    expect(predictionObject.parse(done)).toMatchObject({ status: 'succeeded', error: null });
    expect(parseProgressFromLogs(done)).toEqual({ percentage: 1, current: 4, total: 4 });
    expect(done.logs?.trim().split('\n')).toHaveLength(4);
  });

  test('replicate.predictions belong to their account', async () => {
    const wrong = new Replicate({ auth: edge.key.slice(0, -1), baseUrl: `${edge.url}/v1` });
    await expect(wrong.predictions.list()).rejects.toThrow('401');
    await expect(replicate.predictions.get('a'.repeat(26))).rejects.toThrow('404');
  });
});

describe('replicate, the rest of the API', () => {
  test('replicate.models describe what can be drawn with', async () => {
    const { results } = await replicate.models.list();
    expect(results.map(({ owner, name }) => `${owner}/${name}`)).toEqual([MODEL.id]);
    const [owner = '', name = ''] = MODEL.id.split('/');
    const model = await replicate.models.get(owner, name);
    expect(model.latest_version?.id).toBe(REVISION);
    const version = await replicate.models.versions.get(owner, name, REVISION);
    const { schemas } = (
      version.openapi_schema as { components: { schemas: Record<string, never> } }
    ).components;
    expect(schemas.Input).toMatchObject({
      required: ['prompt'],
      properties: { num_inference_steps: { minimum: 1, maximum: 8, default: 4, type: 'integer' } },
    });
    expect(schemas.Output).toMatchObject({ type: 'array', 'x-cog-array-type': 'iterator' });
    expect(await replicate.models.versions.list(owner, name)).toMatchObject({
      results: [{ id: REVISION }],
    });
    expect((await replicate.models.search('stickers')).results).toHaveLength(1);
    expect((await replicate.models.search('nothing of the kind')).results).toHaveLength(0);
  });

  test('replicate.files keep what is uploaded', async () => {
    const bytes = Buffer.from(makePng(64, 64, 0x123456));
    const file = await replicate.files.create(new File([bytes], 'cat.png', { type: 'image/png' }), {
      of: 'a cat',
    });
    expect(file).toMatchObject({
      content_type: 'image/png',
      size: bytes.length,
      metadata: { of: 'a cat' },
    });
    expect(await replicate.files.get(file.id)).toEqual(file);
    expect((await replicate.files.list()).results).toContainEqual(file);
    expect(await replicate.files.delete(file.id)).toBe(true);
    await expect(replicate.files.get(file.id)).rejects.toThrow('404');
  });

  test('replicate.deployments draw with the model that they name', async () => {
    const { username } = await replicate.accounts.current();
    const config = { name: 'mine', model: MODEL.id, version: REVISION, hardware: 'self-hosted' };
    const made = await replicate.deployments.create({
      ...config,
      min_instances: 0,
      max_instances: 1,
    });
    expect(made).toMatchObject({
      owner: username,
      current_release: { number: 1, model: MODEL.id },
    });
    const prediction = await replicate.deployments.predictions.create(username, 'mine', {
      input: { prompt: newPrompt() },
      wait: true,
    } as never);
    expect(prediction).toMatchObject({ status: 'succeeded', deployment: `${username}/mine` });
    expect(
      await replicate.deployments.update(username, 'mine', { max_instances: 3 }),
    ).toMatchObject({
      current_release: { number: 2, configuration: { max_instances: 3 } },
    });
    expect((await replicate.deployments.list()).results).toHaveLength(1);
    expect(await replicate.deployments.delete(username, 'mine')).toBe(true);
    await expect(replicate.deployments.get(username, 'mine')).rejects.toThrow('404');
  });

  test('replicate.hardware and replicate.collections answer', async () => {
    expect(await replicate.hardware.list()).toHaveLength(1);
    expect((await replicate.collections.list()).results).toEqual([]);
  });
});
