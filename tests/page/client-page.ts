/** What the page of `clients.test.ts` can do: each client of ours and of others, and the hook, ready to be called by the test. */
import { createOpenAICompatible as createProvider3 } from '@ai-sdk/openai-compatible';
import { generateImage as generateImage7 } from 'ai';
import { experimental_generateImage as generateImage6 } from 'ai-6';
import { createOpenAICompatible as createProvider2 } from 'ai-sdk-openai-compatible-2';
import OpenAi7 from 'openai';
import OpenAi6 from 'openai-6';
import { createElement, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { type ImageRequest, PixartEdge, PixartError } from '#shared/client/index.ts';
import { useImage } from '#shared/client/react.ts';
import '#shared/client/element.ts';

export interface Target {
  readonly url: string;
  readonly key: string;
}

const connect = ({ url, key }: Target) => new PixartEdge({ baseURL: url, apiKey: key });
const openai = { dangerouslyAllowBrowser: true, maxRetries: 0 };

/** Base64 of a picture, by the name of the client that draws it. */
const clients: Record<string, (target: Target, prompt: string) => Promise<string | undefined>> = {
  'the SDK': async (target, prompt) =>
    (await connect(target).generate({ prompt })).images[0]?.b64_json,
  'a stream of the SDK': async (target, prompt) =>
    (await connect(target).stream({ prompt }).images())[0]?.b64_json,
  'openai 7': async ({ url, key }, prompt) => {
    const client = new OpenAi7({ ...openai, baseURL: `${url}/v1`, apiKey: key });
    // With a timeout of its own it sends one header more.
    return (await client.images.generate({ prompt }, { timeout: 30_000 })).data?.[0]?.b64_json;
  },
  'openai 6': async ({ url, key }, prompt) => {
    const client = new OpenAi6({ ...openai, baseURL: `${url}/v1`, apiKey: key });
    return (await client.images.generate({ prompt }, { timeout: 30_000 })).data?.[0]?.b64_json;
  },
  'ai 7': async ({ url, key }, prompt) => {
    const provider = createProvider3({ name: 'pixart', baseURL: `${url}/v1`, apiKey: key });
    return (await generateImage7({ model: provider.imageModel('dall-e-3'), prompt })).image.base64;
  },
  'ai 6': async ({ url, key }, prompt) => {
    const provider = createProvider2({ name: 'pixart', baseURL: `${url}/v1`, apiKey: key });
    return (await generateImage6({ model: provider.imageModel('dall-e-3'), prompt })).image.base64;
  },
};

const actions = {
  draw: ({ client, prompt, ...target }: Target & { client: string; prompt: string }) =>
    clients[client]!(target, prompt),

  /** What a page reads of an answer: its status, its headers as far as it may see them, its body. */
  request: async ({ url, init }: { url: string; init: RequestInit }) => {
    const response = await fetch(url, init);
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: await response.text(),
    };
  },

  /** The error that the SDK throws, as an object. */
  fail: async ({ request, ...target }: Target & { request: ImageRequest }) => {
    try {
      await connect(target).generate(request, { maxRetries: 0 });
      return undefined;
    } catch (error) {
      if (!(error instanceof PixartError)) throw error;
      return { ...error, name: error.name, message: error.message };
    }
  },

  /** Width of a picture of another origin, and whether its pixels may be read. */
  show: async ({ url }: { url: string }) => {
    const image = new Image();
    image.crossOrigin = 'anonymous';
    image.src = url;
    await image.decode();
    const context = new OffscreenCanvas(1, 1).getContext('2d')!;
    context.drawImage(image, 0, 0);
    return { width: image.naturalWidth, pixel: [...context.getImageData(0, 0, 1, 1).data] };
  },

  /** A component with the hook; null takes it off the page. */
  render: ({ request, ...target }: Target & { request: ImageRequest | null | 'unmount' }) => {
    client ??= connect(target);
    root ??= createRoot(document.body.appendChild(document.createElement('main')));
    if (request === 'unmount') root.unmount();
    else root.render(createElement(StrictMode, null, createElement(Picture, { request })));
  },
};

let client: PixartEdge | undefined;
let root: ReturnType<typeof createRoot> | undefined;

function Picture({ request }: { request: ImageRequest | null }) {
  const { status, src, images, error, retry } = useImage(client!, request);
  return createElement(
    'figure',
    { 'data-status': status, 'data-count': images.length },
    src === undefined ? null : createElement('img', { src, alt: request?.prompt }),
    error instanceof Error
      ? createElement('button', { type: 'button', onClick: retry }, error.message)
      : null,
  );
}

export type Actions = typeof actions;
Object.assign(globalThis, { actions });
