/**
 * `pixart-edge/element`: `<pixart-image prompt="a happy cactus" base-url="https://pictures.example.com">`.
 *
 * Attributes are those of the request in kebab case. The picture is an `<img part="image">` in the element's shadow tree; what
 * stands between the tags shows until there is something to see, and again when the drawing fails.
 *
 * Events: `preview` and `load` with `detail: { image }`, `error` with `detail: { error }`. None of them bubbles, like those of
 * `<img>`.
 */
import { type ImageRequest, PixartEdge } from './client.ts';

/** Attributes that become members of the request, and what they hold. */
const PARAMETERS = {
  prompt: String,
  model: String,
  size: String,
  quality: String,
  'negative-prompt': String,
  'output-format': String,
  background: String,
  seed: Number,
  'num-inference-steps': Number,
  'guidance-scale': Number,
} as const;

/** Frameworks that render on a server load this module there too; it does nothing then. */
const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement;

export class PixartImageElement extends Base {
  static readonly observedAttributes = ['base-url', 'api-key', 'alt', ...Object.keys(PARAMETERS)];

  readonly #image = document.createElement('img');
  readonly #slot = document.createElement('slot');
  #client: PixartEdge | undefined;
  #leaving: AbortController | undefined;
  #isScheduled = false;

  constructor() {
    super();
    const style = document.createElement('style');
    style.textContent =
      ':host{display:inline-block}:host([hidden]),[hidden]{display:none}img{display:block;max-width:100%;height:auto}';
    this.#image.part.add('image');
    this.#image.hidden = true;
    this.attachShadow({ mode: 'open' }).append(style, this.#image, this.#slot);
  }

  /** In place of `base-url` and `api-key`: one that fetches tokens, for example. */
  get client(): PixartEdge {
    this.#client ??= new PixartEdge({
      baseURL: this.getAttribute('base-url') ?? location.origin,
      apiKey: this.getAttribute('api-key') ?? undefined,
    });
    return this.#client;
  }

  set client(client: PixartEdge) {
    this.#client = client;
    this.#schedule();
  }

  connectedCallback(): void {
    this.#schedule();
  }

  disconnectedCallback(): void {
    this.#leaving?.abort();
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after) return;
    if (name === 'alt') {
      this.#image.alt = this.#alt;
      return;
    }
    if (name === 'base-url' || name === 'api-key') this.#client = undefined;
    this.#schedule();
  }

  get #alt(): string {
    return this.getAttribute('alt') ?? this.getAttribute('prompt') ?? '';
  }

  /** Several attributes that change at once are one drawing. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (this.isConnected) void this.#draw();
    });
  }

  async #draw(): Promise<void> {
    this.#leaving?.abort();
    const leaving = new AbortController();
    this.#leaving = leaving;
    this.#show(undefined);
    const request = this.#request();
    if (request.prompt.trim() === '') {
      this.removeAttribute('aria-busy');
      return;
    }
    this.setAttribute('aria-busy', 'true');
    try {
      const { signal } = leaving;
      for await (const { type, image } of this.client.stream(request, { signal })) {
        this.#show(image.src);
        if (type === 'image') this.setAttribute('aria-busy', 'false');
        this.dispatchEvent(
          new CustomEvent(type === 'image' ? 'load' : 'preview', { detail: { image } }),
        );
      }
    } catch (error) {
      if (leaving.signal.aborted) return;
      this.#show(undefined);
      this.setAttribute('aria-busy', 'false');
      this.dispatchEvent(new CustomEvent('error', { detail: { error } }));
    }
  }

  #request(): ImageRequest {
    const request: Record<string, unknown> = { prompt: '' };
    for (const [name, convert] of Object.entries(PARAMETERS)) {
      const value = this.getAttribute(name);
      if (value !== null) request[name.replaceAll('-', '_')] = convert(value);
    }
    return request as unknown as ImageRequest;
  }

  #show(src: string | undefined): void {
    this.#image.hidden = src === undefined;
    this.#slot.hidden = src !== undefined;
    if (src === undefined) this.#image.removeAttribute('src');
    else this.#image.src = src;
    this.#image.alt = this.#alt;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'pixart-image': PixartImageElement;
  }
}

globalThis.customElements?.define('pixart-image', PixartImageElement);
