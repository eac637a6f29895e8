/** Every client against the whole service: the real function draws, and all of them get the same bytes. */
import { createOpenAICompatible as createProvider3 } from '@ai-sdk/openai-compatible';
import { generateImage as generateImage7 } from 'ai';
import { experimental_generateImage as generateImage6 } from 'ai-6';
import { createOpenAICompatible as createProvider2 } from 'ai-sdk-openai-compatible-2';
import OpenAi7 from 'openai';
import OpenAi6 from 'openai-6';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PixartEdge } from '#shared/client/index.ts';
import { type Service, startService } from '../helpers/service.ts';

const PROMPT = 'a red apple and a green cat';
const SEED = 9;

let service: Service;

beforeAll(async () => {
  service = await startService();
}, 240_000);

afterAll(() => service?.[Symbol.asyncDispose]());

type Draw = (options: { url: string; key: string }) => Promise<string | undefined>;

const CLIENTS: Record<string, Draw> = {
  'the SDK': async ({ url, key }) => {
    const client = new PixartEdge({ baseURL: url, apiKey: key });
    const { images } = await client.generate({ prompt: PROMPT, seed: SEED });
    return images[0]?.b64_json;
  },
  'a stream of the SDK': async ({ url, key }) => {
    const client = new PixartEdge({ baseURL: url, apiKey: key });
    const [image] = await client.stream({ prompt: PROMPT, seed: SEED }).images();
    return image?.b64_json;
  },
  'openai 7': ({ url, key }) => openai(new OpenAi7({ apiKey: key, baseURL: `${url}/v1` })),
  'openai 6': ({ url, key }) =>
    openai(new OpenAi6({ apiKey: key, baseURL: `${url}/v1` }) as unknown as OpenAi7),
  'ai 7': async ({ url, key }) => {
    const provider = createProvider3({ name: 'pixart', baseURL: `${url}/v1`, apiKey: key });
    const model = provider.imageModel('dall-e-3');
    const providerOptions = { pixart: { seed: SEED } };
    return (await generateImage7({ model, prompt: PROMPT, providerOptions })).image.base64;
  },
  'ai 6': async ({ url, key }) => {
    const provider = createProvider2({ name: 'pixart', baseURL: `${url}/v1`, apiKey: key });
    const model = provider.imageModel('gpt-image-1');
    const providerOptions = { pixart: { seed: SEED } };
    return (await generateImage6({ model, prompt: PROMPT, providerOptions })).image.base64;
  },
};

async function openai(client: OpenAi7): Promise<string | undefined> {
  const body = { prompt: PROMPT, seed: SEED } as OpenAi7.ImageGenerateParamsNonStreaming;
  return (await client.images.generate(body)).data?.[0]?.b64_json;
}

it('a seed is one picture, whichever client asks for it', async () => {
  const drawn = new Map<string, string | undefined>();
  for (const [name, draw] of Object.entries(CLIENTS)) drawn.set(name, await draw(service));
  expect(drawn.get('the SDK')).toMatch(/^iVBORw0KGgo/);
  for (const [name, picture] of drawn) expect(picture, name).toBe(drawn.get('the SDK'));
  expect(await service.executions()).toBe(1);
});
