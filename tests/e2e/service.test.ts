/** Worker → function → picture over loopback, with OpenAI's own client: nothing of the service is replaced. */
import OpenAI, { APIError } from 'openai';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Service, startService } from '../helpers/service.ts';

let service: Service;

beforeAll(async () => {
  service = await startService();
}, 240_000);

afterAll(() => service?.[Symbol.asyncDispose]());

type Extensions = { seed?: number; num_inference_steps?: number };
type Params = OpenAI.Images.ImageGenerateParamsNonStreaming & Extensions;
type Drawn = OpenAI.Images.Image & { seed: number; cache: string };

/** One picture by the client; our extensions travel in the same body. */
async function draw(params: Omit<Params, 'model'>): Promise<Drawn> {
  const { data } = await service.openai.images.generate(params as Params);
  return data![0] as Drawn;
}

const decode = ({ b64_json: data }: { b64_json?: string | null | undefined }) =>
  Buffer.from(data ?? '', 'base64');

describe('a generation', () => {
  it('is a picture of the native size by default', async () => {
    const picture = decode(await draw({ prompt: 'a red apple' }));
    expect(await sharp(picture).metadata()).toMatchObject({ format: 'png', width: 64, height: 64 });
  });

  it.each(['png', 'jpeg', 'webp'] as const)(
    'comes as %s in the size that was asked for',
    async (format) => {
      const drawn = await draw({
        prompt: 'a green cat',
        size: '128x192' as '1024x1024',
        output_format: format,
      });
      const { data } = await sharp(decode(drawn)).toBuffer({ resolveWithObject: true });
      expect(data.length).toBeGreaterThan(0);
      expect(await sharp(decode(drawn)).metadata()).toMatchObject({
        format,
        width: 128,
        height: 192,
      });
    },
  );

  it('carries the mark of a generated picture', async () => {
    const drawn = decode(await draw({ prompt: 'a red apple' }));
    expect(drawn.toString('latin1')).toContain('trainedAlgorithmicMedia');
  });

  it('is a hit with the same bytes the second time, and nothing is executed', async () => {
    const request = { prompt: 'a happy cactus in the desert', seed: 11 };
    const first = await draw(request);
    const before = await service.executions();
    const second = await draw(request);
    expect([first.cache, second.cache]).toEqual(['miss', 'hit']);
    expect(decode(second).equals(decode(first))).toBe(true);
    expect(await service.executions()).toBe(before);
  });

  it('has other pixels for another seed, and the same again for the first', async () => {
    const one = await draw({ prompt: 'a blue dog', seed: 1 });
    const two = await draw({ prompt: 'a blue dog', seed: 2 });
    const again = await service.generate({ prompt: 'a blue dog', seed: 1 }, {});
    const { data } = (await again.json()) as { data: Drawn[] };
    expect(two.b64_json).not.toBe(one.b64_json);
    expect(data[0]!.b64_json).toBe(one.b64_json);
  });

  it('is executed once for twenty identical requests at the same time', async () => {
    const before = await service.executions();
    const request = { prompt: 'a red car in the desert', seed: 5 };
    const drawn = await Promise.all(Array.from({ length: 20 }, () => draw(request)));
    expect(new Set(drawn.map(({ b64_json: data }) => data)).size).toBe(1);
    expect(await service.executions()).toBe(before + 1);
    expect(drawn.filter(({ cache }) => cache === 'miss')).toHaveLength(1);
  });

  it('can be had again at its URL, unchanged for ever', async () => {
    const { url } = await draw({ prompt: 'a green apple', response_format: 'url' });
    const response = await fetch(url!);
    expect(response.headers.get('cache-control')).toContain('immutable');
    expect(response.headers.get('content-type')).toBe('image/png');
    const etag = response.headers.get('etag')!;
    expect((await sharp(Buffer.from(await response.arrayBuffer())).metadata()).width).toBe(64);
    expect((await fetch(url!, { headers: { 'If-None-Match': etag } })).status).toBe(304);
    const part = await fetch(url!, { headers: { Range: 'bytes=1-3' } });
    expect([part.status, await part.text()]).toEqual([206, 'PNG']);
  });
});

describe('a stream', () => {
  it('brings previews in order, then the picture that a plain request gets', async () => {
    const request = { prompt: 'a flat blue cat', seed: 21 };
    const stream = await service.openai.images.generate({
      ...request,
      stream: true,
      partial_images: 3,
    } as OpenAI.Images.ImageGenerateParamsStreaming);
    const types: string[] = [];
    let final = '';
    for await (const event of stream) {
      types.push(event.type);
      if (event.type === 'image_generation.completed') final = event.b64_json;
      else
        expect(
          (await sharp(Buffer.from(event.b64_json, 'base64')).metadata()).width,
        ).toBeGreaterThan(0);
    }
    expect(types.at(-1)).toBe('image_generation.completed');
    expect(types.slice(0, -1)).not.toHaveLength(0);
    expect(new Set(types.slice(0, -1))).toEqual(new Set(['image_generation.partial_image']));
    const plain = await draw(request);
    expect(plain.cache).toBe('hit');
    expect(plain.b64_json).toBe(final);
  });
});

describe('a request that cannot be served', () => {
  const cases: [string, object, number, string][] = [
    ['an empty prompt', { prompt: '   ' }, 400, 'invalid_value'],
    ['a prompt that is too long', { prompt: 'a '.repeat(1001) }, 400, 'invalid_value'],
    ['a prompt of another type', { prompt: 7 }, 400, 'invalid_value'],
    ['no prompt', {}, 400, 'missing_required_parameter'],
    ['a size that is no multiple of 16', { prompt: 'a', size: '100x100' }, 400, 'invalid_value'],
    ['a size that is too large', { prompt: 'a', size: '4096x4096' }, 400, 'invalid_value'],
    ['too many steps for the model', { prompt: 'a', num_inference_steps: 9 }, 400, 'invalid_value'],
    ['a seed beyond 32 bits', { prompt: 'a', seed: 4_294_967_296 }, 400, 'invalid_value'],
    ['too many pictures', { prompt: 'a', n: 11 }, 400, 'invalid_value'],
    ['an unknown model', { prompt: 'a', model: 'nobody/nothing' }, 404, 'model_not_found'],
  ];

  it.each(cases)('is refused with its code: %s', async (_, body, status, code) => {
    const before = await service.executions();
    const error = await service.openai.images
      .generate(body as Params)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ status, code });
    expect(await service.executions()).toBe(before);
  });

  it('is refused without a valid key', async () => {
    const stranger = new OpenAI({
      apiKey: 'pxe_sk_nobody',
      baseURL: `${service.url}/v1`,
      maxRetries: 0,
    });
    const error = await stranger.images
      .generate({ prompt: 'a' })
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ status: 401, code: 'invalid_api_key' });
  });

  it('is refused when its body is no JSON', async () => {
    const response = await service.generate(undefined, { body: '{"prompt": "a"' });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: 'malformed_json' } });
  });
});

describe('the function', () => {
  it('answers nobody who does not sign', async () => {
    const response = await fetch(`${service.gpuUrl}/predictions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ input: { prompt: 'a red apple' } }),
    });
    expect(response.status).toBe(401);
  });

  it('is lost in the middle of a stream: one error event, and the next request works once it is back', async () => {
    const response = await service.generate({
      prompt: 'a cat and a dog',
      seed: 77,
      size: '2048x1024',
      num_inference_steps: 8,
      stream: true,
      partial_images: 3,
    });
    expect(response.status).toBe(200);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    // The first preview says that it is drawing.
    while (!text.includes('partial_image')) {
      const { done, value } = await reader.read();
      if (done) break;
      text += value;
    }
    const lost = service.gpuFunction.pid!;
    process.kill(lost, 'SIGKILL');
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      text += value;
    }
    expect(text.match(/^event: error$/gm)).toHaveLength(1);
    expect(text).not.toContain('image_generation.completed');
    const data = text.slice(text.lastIndexOf('data: ') + 6).trim();
    expect(JSON.parse(data)).toMatchObject({ type: 'error', error: { retryable: true } });

    await vi.waitFor(
      async () =>
        expect((await service.generate({ prompt: 'a cat and a dog', seed: 78 })).status).toBe(200),
      { timeout: 60_000, interval: 250 },
    );
    expect(service.gpuFunction.pid).not.toBe(lost);
  });
});
