/** A drawing that is watched: previews, then each picture. It ends with the last picture or throws; never silently. */
import { toApiError } from './api-error.ts';
import type { Call } from './call.ts';
import { PixartError, StreamTruncatedError } from './errors.ts';
import type { GeneratedImage } from './generated-image.ts';
import { readEvents } from './read-events.ts';
import type { CompletedEvent, PartialImageEvent } from './types.ts';

/** The wire's event without its base64, and with the picture in its place. */
type WithImage<Event, Type> = Omit<Event, 'b64_json' | 'type'> & {
  readonly type: Type;
  readonly image: GeneratedImage;
};
export type PreviewEvent = WithImage<PartialImageEvent, 'preview'>;
export type ImageEvent = WithImage<CompletedEvent, 'image'>;
export type StreamEvent = PreviewEvent | ImageEvent;

export interface StreamOptions {
  /** Pictures that were asked for. */
  readonly count: number;
  /** Milliseconds without a byte after which the server is taken for dead. */
  readonly idleMs: number;
  /** Starts the clock of the call. */
  readonly begin: () => Call;
  readonly open: (call: Call) => Promise<Response>;
  readonly toImage: (event: CompletedEvent | PartialImageEvent) => GeneratedImage;
}

/** Iterate over it once, await `images()`, or both. Nothing is sent before that. Leaving the loop stops the drawing. */
export class GenerationStream implements AsyncIterable<StreamEvent> {
  readonly #options: StreamOptions;
  readonly #events: AsyncGenerator<StreamEvent, void, undefined>;
  readonly #images: GeneratedImage[] = [];
  #failure: unknown;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#events = this.#run();
  }

  [Symbol.asyncIterator](): AsyncGenerator<StreamEvent, void, undefined> {
    return this.#events;
  }

  /** The pictures, once all of them are there. */
  async images(): Promise<readonly GeneratedImage[]> {
    for await (const _ of this.#events);
    if (this.#images.length < this.#options.count) {
      throw this.#failure ?? new PixartError('The stream was left before the pictures were there.');
    }
    return this.#images;
  }

  async *#run(): AsyncGenerator<StreamEvent, void, undefined> {
    const call = this.#options.begin();
    const progress = new Progress();
    for (;;) {
      try {
        yield* this.#attempt(call, progress);
        return;
      } catch (error) {
        await call.pause(error).catch((failure: unknown) => {
          this.#failure = failure;
          throw failure;
        });
      }
    }
  }

  /** One request, from where the last one broke off. */
  async *#attempt(call: Call, progress: Progress): AsyncGenerator<StreamEvent, void, undefined> {
    const { open, idleMs, toImage, count } = this.#options;
    const response = await open(call);
    const requestId = response.headers.get('x-request-id') ?? undefined;
    for await (const event of readEvents(response, idleMs)) {
      if ('error' in event) throw toApiError(event, { requestId });
      // Generations and edits call their events differently.
      const kind = String(event.type).split('.')[1];
      const { type: _, b64_json: __, ...rest } = event as unknown as CompletedEvent;
      if (kind === 'partial_image' && progress.advance(event)) {
        const image = toImage(event as unknown as PartialImageEvent);
        yield { ...rest, type: 'preview', image } as unknown as PreviewEvent;
      } else if (kind === 'completed' && !progress.done.has(indexOf(event))) {
        const image = toImage(event as unknown as CompletedEvent);
        await image.bytes();
        progress.done.add(indexOf(event));
        this.#images.push(image);
        yield { ...rest, type: 'image', image };
        if (this.#images.length === count) return;
      }
    }
    throw new StreamTruncatedError('The stream ended before the picture was there.', {
      retryable: true,
    });
  }
}

/** What the caller has already: a repeated request begins again, the caller does not. */
class Progress {
  readonly done = new Set<number>();
  /** Index and step of the latest preview. */
  #index = 0;
  #step = -1;

  /** Whether this preview is newer than all before it. */
  advance(event: Record<string, unknown>): boolean {
    const index = indexOf(event);
    const step = Number(event.step ?? event.partial_image_index);
    if (this.done.has(index) || (index === this.#index && step <= this.#step)) return false;
    this.#index = index;
    this.#step = step;
    return true;
  }
}

function indexOf(event: Record<string, unknown>): number {
  return Number(event.index ?? 0);
}
