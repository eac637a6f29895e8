/** The client: one object for one service and one key. Runs wherever `fetch` does. */
import { readApiError } from './api-error.ts';
import { Call, type CallOptions, orLost } from './call.ts';
import { InvalidResponseError, PixartError } from './errors.ts';
import { GeneratedImage, type GeneratedImageFields } from './generated-image.ts';
import { GenerationStream } from './generation-stream.ts';
import {
  buildImageUrl,
  buildPromptUrl,
  type PromptUrlOptions,
  type VariantOptions,
} from './image-url.ts';
import type {
  CompletedEvent,
  GenerateRequest,
  ImageFormat,
  ImagesResponse,
  ModelInfo,
  PartialImageEvent,
} from './types.ts';

export interface ClientOptions {
  /** Origin of the service, such as `https://pictures.example.com`; a `/v1` at its end is dropped. */
  readonly baseURL: string;
  /**
   * A secret key on a server; on a page a publishable key, or a function that fetches a short-lived token. The function is
   * called for each attempt; what it throws ends the call.
   */
  readonly apiKey?: string | (() => string | Promise<string>) | undefined;
  /** Milliseconds for one call, repetitions included. Default 120,000. */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds without a sign of life in a stream. Default 15,000. */
  readonly idleTimeoutMs?: number | undefined;
  /** Repetitions of a call that failed in a way that may pass. Default 2. */
  readonly maxRetries?: number | undefined;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
}

export interface GenerateOptions extends CallOptions {
  /** `no-cache` draws again, `no-store` keeps nothing, `only-if-cached` never draws. */
  readonly cacheControl?: 'no-cache' | 'no-store' | 'only-if-cached' | undefined;
}

/** What is drawn; how it comes back is a matter of the method. */
export type ImageRequest = Omit<GenerateRequest, 'stream' | 'partial_images'>;

/** Picture as a file, or its bytes: PNG, JPEG or WebP, up to 8 MiB. */
export type ImageInput = Blob | Uint8Array<ArrayBuffer> | ArrayBuffer;

export interface EditRequest extends Omit<ImageRequest, 'response_format'> {
  readonly image: ImageInput | readonly ImageInput[];
  /** PNG of the picture's size; what is transparent in it is drawn anew. */
  readonly mask?: ImageInput | undefined;
  /** 0–1: how far the picture may be left behind. */
  readonly strength?: number | undefined;
}

export interface GenerateResult extends Omit<ImagesResponse, 'data'> {
  readonly images: readonly GeneratedImage[];
  readonly requestId: string | undefined;
}

const TIMEOUT_MS = 120_000;
const IDLE_MS = 15_000;
const RETRIES = 2;
const PREVIEWS = 3;

export class PixartEdge {
  /** Without a slash at the end. */
  readonly origin: string;
  readonly #options: ClientOptions;
  readonly #fetch: typeof globalThis.fetch;

  constructor(options: ClientOptions) {
    this.origin = options.baseURL.replace(/\/+$/, '').replace(/\/v1$/, '');
    this.#options = options;
    this.#fetch = options.fetch ?? ((...args) => globalThis.fetch(...args));
  }

  /** Draws, and resolves when every picture is there and its digest has been checked. */
  generate(request: ImageRequest, options: GenerateOptions = {}): Promise<GenerateResult> {
    return this.#draw('generations', request, toJson(request), options);
  }

  /** Draws, and shows up to three previews of each picture on the way. */
  stream(
    request: ImageRequest,
    { partialImages = PREVIEWS, ...options }: GenerateOptions & { partialImages?: number } = {},
  ): GenerationStream {
    const body = toJson({ ...request, stream: true, partial_images: partialImages });
    return this.#stream('generations', body, request.n ?? 1, options);
  }

  /** Draws over a picture. */
  edit(request: EditRequest, options: GenerateOptions = {}): Promise<GenerateResult> {
    return this.#draw('edits', request, toForm(request), options);
  }

  streamEdit(
    request: EditRequest,
    { partialImages = PREVIEWS, ...options }: GenerateOptions & { partialImages?: number } = {},
  ): GenerationStream {
    const body = toForm({ ...request, stream: true, partial_images: partialImages });
    return this.#stream('edits', body, request.n ?? 1, options);
  }

  /** What can be drawn with; the first is the default. */
  async models(options: CallOptions = {}): Promise<readonly ModelInfo[]> {
    const { data } = await this.#getJson<{ data: ModelInfo[] }>('/v1/models', options);
    return data;
  }

  model(id: string, options: CallOptions = {}): Promise<ModelInfo> {
    return this.#getJson(`/v1/models/${encodeURIComponent(id)}`, options);
  }

  /** URL of a picture by its id, as it was drawn or resized, in another format, or both. */
  imageUrl(id: string, options: VariantOptions = {}): string {
    return buildImageUrl(this.origin, id, options);
  }

  /** URL that draws, for an `<img>`. It needs a publishable key, or the signature that `pixart-edge/signing` makes on a server. */
  promptUrl(prompt: string, options: PromptUrlOptions = {}): string {
    return buildPromptUrl(this.origin, prompt, options);
  }

  #call(options: CallOptions): Call {
    const { timeoutMs = TIMEOUT_MS, maxRetries = RETRIES, apiKey } = this.#options;
    const refreshesToken = typeof apiKey === 'function';
    return new Call(options, { timeoutMs, maxRetries, refreshesToken });
  }

  #draw(
    route: string,
    { visibility }: Pick<ImageRequest, 'visibility'>,
    body: Body,
    options: GenerateOptions,
  ): Promise<GenerateResult> {
    // A private picture has a URL only with a signature, one that was not kept has none.
    const isOpen = String(visibility) !== 'private' && options.cacheControl !== 'no-store';
    return repeat(this.#call(options), async (call) => {
      const response = await this.#post(route, body, call, options);
      const { data, ...rest } = await readJson<ImagesResponse>(response);
      if (!Array.isArray(data)) throw new InvalidResponseError('The answer has no pictures.');
      const images = data.map((item) => this.#toImage(item, rest.output_format, isOpen));
      // Those that are only named by a URL are checked when they are fetched.
      for (const image of images) if (image.b64_json !== undefined) await image.bytes();
      return { ...rest, images, requestId: response.headers.get('x-request-id') ?? undefined };
    });
  }

  #stream(route: string, body: Body, count: number, options: GenerateOptions): GenerationStream {
    return new GenerationStream({
      count,
      idleMs: this.#options.idleTimeoutMs ?? IDLE_MS,
      begin: () => this.#call(options),
      open: (call) => this.#post(route, body, call, options),
      toImage: (event: CompletedEvent | PartialImageEvent) =>
        this.#toImage(event as CompletedEvent, event.output_format, false),
    });
  }

  #toImage(
    item: Omit<GeneratedImageFields, 'mediaType'>,
    format: ImageFormat,
    isOpen: boolean,
  ): GeneratedImage {
    const { id, url = isOpen && id !== undefined ? this.imageUrl(id, { format }) : undefined } =
      item;
    return new GeneratedImage({ ...item, url, mediaType: `image/${format}` }, (from) =>
      this.#download(from),
    );
  }

  #post(route: string, body: Body, call: Call, options: GenerateOptions): Promise<Response> {
    const { cacheControl, idempotencyKey } = options;
    const headers: Record<string, string> = {};
    // The server remembers what has a name, which costs it more than a picture from the cache. Equal requests are one picture
    // without it, unless the seed is left to chance.
    const isChance = cacheControl === 'no-cache' || cacheControl === 'no-store';
    if (isChance || call.isRepetition || idempotencyKey !== undefined) {
      headers['Idempotency-Key'] = call.idempotencyKey;
    }
    // A form names its own type, with its boundary.
    if (typeof body === 'string') headers['Content-Type'] = 'application/json';
    if (cacheControl !== undefined) headers['Cache-Control'] = cacheControl;
    return this.#send(`/v1/images/${route}`, { method: 'POST', headers, body }, call);
  }

  #getJson<T>(path: string, options: CallOptions): Promise<T> {
    return repeat(this.#call(options), async (call) =>
      readJson<T>(await this.#send(path, { headers: {} }, call)),
    );
  }

  async #send(
    path: string,
    init: RequestInit & { readonly headers: Record<string, string> },
    call: Call,
  ): Promise<Response> {
    const { apiKey, headers } = this.#options;
    const key = typeof apiKey === 'function' ? await call.within(apiKey()) : apiKey;
    const response = await orLost(
      this.#fetch(this.origin + path, {
        ...init,
        headers: {
          ...(key !== undefined && { Authorization: `Bearer ${key}` }),
          ...init.headers,
          ...headers,
          ...call.headers,
        },
        signal: call.signal,
      }),
    );
    if (!response.ok) throw await readApiError(response);
    return response;
  }

  /** Pictures are open to whoever knows their name: no key goes along. */
  #download(url: string): Promise<Uint8Array<ArrayBuffer>> {
    return repeat(this.#call({}), async ({ signal }) => {
      const response = await orLost(this.#fetch(url, { signal }));
      if (!response.ok) throw await readApiError(response);
      return new Uint8Array(await orLost(response.arrayBuffer()));
    });
  }
}

type Body = string | FormData;

async function repeat<T>(call: Call, attempt: (call: Call) => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt(call);
    } catch (error) {
      await call.pause(error);
    }
  }
}

async function readJson<T>(response: Response): Promise<T> {
  const text = await orLost(response.text());
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new InvalidResponseError('The answer is not JSON.', { retryable: true, cause });
  }
}

function toJson(request: object): string {
  return JSON.stringify(request);
}

/** @throws {PixartError} for a member that a form cannot carry */
function toForm(request: object): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(request)) {
    if (value === undefined || value === null) continue;
    const several = Array.isArray(value);
    for (const item of several ? value : [value]) {
      const field = several && value.length > 1 ? `${name}[]` : name;
      if (['string', 'number', 'boolean'].includes(typeof item)) form.append(field, String(item));
      else if (item instanceof Blob) form.append(field, item);
      else if (item instanceof ArrayBuffer || ArrayBuffer.isView(item)) {
        form.append(field, new Blob([item as ArrayBuffer]));
      } else throw new PixartError(`${name} has a value that an edit cannot carry.`);
    }
  }
  return form;
}
