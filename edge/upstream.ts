/**
 * The only outgoing fetch: sign, deadline, one retry, read the stream.
 *
 * Speaks the Cog protocol with server-sent events to the function. Every wait ends: the whole call at its deadline, each gap
 * between two chunks at the idle limit, whether it falls before the headers or inside a stalled body.
 */
import { ServiceError } from '#shared/errors.ts';
import { HEADERS, MEDIA_TYPES } from '#shared/headers.ts';
import {
  type Prediction,
  type PredictionPreview,
  prediction,
  predictionPreview,
} from '#shared/schemas/prediction.ts';
import type { PredictionInput } from '#shared/schemas/prediction-input.ts';
import { type SigningKey, signRequest } from '#shared/signature.ts';
import { SseDecoder, SseError, type SseEvent } from '#shared/sse.ts';

export interface UpstreamOptions {
  readonly url: string;
  readonly signingKey: SigningKey | undefined;
  readonly idleMs: number;
  readonly fetch: (request: Request) => Promise<Response>;
  readonly now: () => number;
  /** A number in [0, 1). */
  readonly random: () => number;
}

export interface UpstreamRequest {
  readonly id: string;
  readonly input: PredictionInput;
  /** Previews wanted. */
  readonly previews: number;
  readonly requestId: string;
  readonly traceparent?: string | undefined;
  readonly deadlineMs: number;
  /** Longest record of the stream: a finished picture in base64. */
  readonly recordBytesMax: number;
  /** Aborted when nobody waits any longer. */
  readonly signal: AbortSignal;
}

export type UpstreamEvent =
  /** The function has taken the prediction. */
  | { readonly type: 'accepted' }
  | ({ readonly type: 'preview' } & PredictionPreview)
  /** Always the last one. */
  | { readonly type: 'completed'; readonly prediction: Prediction };

const RETRY_DELAY_MS = 50;
const ERROR_BODY_BYTES_MAX = 65_536;
const HEALTH_DEADLINE_MS = 2000;

export class Upstream {
  readonly #options: UpstreamOptions;

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /**
   * Events of one prediction; ends after `completed`.
   *
   * @throws {ServiceError} `overloaded`, `model_unavailable`, `upstream_*`, `deadline_exceeded`, or what the function refused
   * @throws the reason of `signal` once it is aborted
   */
  async *predict(request: UpstreamRequest): AsyncGenerator<UpstreamEvent, void, undefined> {
    using watch = new Watch(request, this.#options.idleMs);
    const response = await this.#open(request, watch);
    if (response.status !== 200) throw await toRefusal(response, watch);
    if (!isEventStream(response) || response.body === null) {
      await response.body?.cancel();
      throw new ServiceError('upstream_invalid_response', {
        message: `200 with ${response.headers.get('Content-Type')}`,
      });
    }
    yield { type: 'accepted' };
    const decoder = new SseDecoder({ bytesMax: request.recordBytesMax });
    const reader = response.body.getReader();
    watch.onStop(() => void reader.cancel().catch(() => undefined));
    try {
      for (;;) {
        const { done, value } = await watch.guard(reader.read());
        if (done) {
          throw new ServiceError(decoder.inRecord ? 'upstream_truncated' : 'upstream_lost', {
            message: 'the stream ended before the prediction',
            retryAfterMs: 1000,
          });
        }
        watch.touch();
        for (const item of decode(decoder, value)) {
          if (item.kind === 'comment') continue;
          const event = toUpstreamEvent(item);
          if (event === undefined) continue;
          yield event;
          // Whatever follows the end is not listened to.
          if (event.type === 'completed') return;
        }
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }

  /** Whether the function could take a prediction now: `READY` or `BUSY` in Cog's words. */
  async isReady(): Promise<boolean> {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), HEALTH_DEADLINE_MS);
    try {
      const response = await this.#options.fetch(
        new Request(`${this.#options.url}/health-check`, {
          signal: controller.signal,
          redirect: 'manual',
        }),
      );
      const body = (await response.json()) as { status?: unknown };
      return response.status === 200 && (body.status === 'READY' || body.status === 'BUSY');
    } catch {
      // Refused, reset, too slow or not JSON: all mean that it cannot be used.
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The response head. A connection that fails before it is tried once more. */
  async #open(request: UpstreamRequest, watch: Watch): Promise<Response> {
    const url = new URL(`${this.#options.url}/predictions`);
    const body = new TextEncoder().encode(JSON.stringify({ id: request.id, input: request.input }));
    for (let attempt = 0; ; attempt += 1) {
      const headers = new Headers({
        'Content-Type': MEDIA_TYPES.json,
        Accept: MEDIA_TYPES.eventStream,
        [HEADERS.requestId]: request.requestId,
        ...(request.traceparent !== undefined && { [HEADERS.traceparent]: request.traceparent }),
        ...(request.previews > 0 && { [HEADERS.previews]: String(request.previews) }),
      });
      const { signingKey: key, now } = this.#options;
      if (key !== undefined) {
        const target = { method: 'POST', path: url.pathname + url.search, body };
        const signature = await signRequest(target, { key, nowMs: now() });
        for (const [name, value] of Object.entries(signature)) headers.set(name, value);
      }
      try {
        const response = await watch.guard(
          this.#options.fetch(
            new Request(url, {
              method: 'POST',
              headers,
              body,
              signal: watch.signal,
              redirect: 'manual',
            }),
          ),
        );
        watch.headArrived();
        return response;
      } catch (error) {
        if (!(error instanceof ServiceError && error.code === 'upstream_lost') || attempt > 0) {
          throw error;
        }
        await watch.guard(pause(RETRY_DELAY_MS * (1 + this.#options.random())));
      }
    }
  }
}

/** Stops a call at its deadline, after too long a silence, or when its caller leaves; remembers which. */
class Watch {
  readonly #controller = new AbortController();
  readonly #deadline: ReturnType<typeof setTimeout>;
  readonly #idleMs: number;
  readonly #caller: AbortSignal;
  readonly #stopped = Promise.withResolvers<never>();
  #idle: ReturnType<typeof setTimeout> | undefined;
  #reason: unknown;
  #hasHead = false;
  #cancel: (() => void) | undefined;

  constructor({ deadlineMs, signal }: UpstreamRequest, idleMs: number) {
    this.#idleMs = idleMs;
    this.#caller = signal;
    // Nobody may be waiting when it stops.
    this.#stopped.promise.catch(() => undefined);
    this.#deadline = setTimeout(
      () =>
        this.#stop(
          new ServiceError('deadline_exceeded', {
            detail: `The picture was not finished within ${deadlineMs / 1000} s.`,
            retryAfterMs: 1000,
          }),
        ),
      deadlineMs,
    );
    if (signal.aborted) this.#stop(signal.reason);
    else signal.addEventListener('abort', this.#onAbort);
    this.touch();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something arrived. */
  touch(): void {
    if (this.#idle !== undefined) clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      const code = this.#hasHead ? 'upstream_stalled' : 'deadline_exceeded';
      const message = `nothing for ${this.#idleMs} ms ${this.#hasHead ? 'in the body' : 'before the head'}`;
      this.#stop(new ServiceError(code, { message, retryAfterMs: 1000 }));
    }, this.#idleMs);
  }

  headArrived(): void {
    this.#hasHead = true;
    this.touch();
  }

  onStop(cancel: () => void): void {
    this.#cancel = cancel;
  }

  /** Waits for work, but not past the end of the watch; any other failure is a lost connection. */
  async guard<T>(work: Promise<T>): Promise<T> {
    try {
      return await Promise.race([work, this.#stopped.promise]);
    } catch (cause) {
      if (this.#reason !== undefined) throw this.#reason;
      throw new ServiceError('upstream_lost', {
        message: 'the connection to the function failed',
        retryAfterMs: 1000,
        cause,
      });
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#deadline);
    if (this.#idle !== undefined) clearTimeout(this.#idle);
    this.#caller.removeEventListener('abort', this.#onAbort);
    // Whatever is left of the call ends with the watch.
    this.#controller.abort();
  }

  readonly #onAbort = () => this.#stop(this.#caller.reason);

  #stop(reason: unknown): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason ?? new Error('aborted');
    this.#stopped.reject(this.#reason);
    this.#cancel?.();
    this.#controller.abort();
  }
}

function decode(decoder: SseDecoder, chunk: Uint8Array) {
  try {
    return decoder.push(chunk);
  } catch (error) {
    if (!(error instanceof SseError)) throw error;
    throw new ServiceError('upstream_invalid_response', { message: error.message, cause: error });
  }
}

function toUpstreamEvent(event: SseEvent): UpstreamEvent | undefined {
  switch (event.event) {
    case 'preview': {
      const parsed = predictionPreview.safeParse(parseData(event));
      if (!parsed.success) throw unusable(event, parsed.error);
      return { type: 'preview', ...parsed.data };
    }
    case 'completed': {
      const parsed = prediction.safeParse(parseData(event));
      if (!parsed.success) throw unusable(event, parsed.error);
      return { type: 'completed', prediction: parsed.data };
    }
    case 'error':
      // Cog's way to say that this subscriber missed events.
      throw unusable(event);
    default:
      // `start`, `output`, `log` and `metric` come again, whole, in `completed`.
      return undefined;
  }
}

function parseData(event: SseEvent): unknown {
  try {
    return JSON.parse(event.data);
  } catch (cause) {
    throw unusable(event, cause);
  }
}

function unusable(event: SseEvent, cause?: unknown): ServiceError {
  return new ServiceError('upstream_invalid_response', {
    message: `unusable event ${JSON.stringify(event.event.slice(0, 32))}`,
    ...(cause !== undefined && { cause }),
  });
}

/** What a status other than 200 means for the caller. */
async function toRefusal(response: Response, watch: Watch): Promise<ServiceError> {
  const { status } = response;
  const retryAfterMs = parseRetryAfter(response.headers.get('Retry-After'));
  const body = await readBounded(response, watch);
  if (status === 409) return new ServiceError('overloaded', { retryAfterMs: retryAfterMs ?? 1000 });
  if (status === 503) {
    return new ServiceError('model_unavailable', { retryAfterMs: retryAfterMs ?? 2000 });
  }
  if (status === 422) {
    const fault = findFault(body);
    if (fault !== undefined) return new ServiceError('invalid_parameter', fault);
  }
  return new ServiceError('upstream_invalid_response', {
    message: `the function answered ${status}`,
  });
}

/** First complaint of a Cog 422: `{ detail: [{ loc: ["body", "input", field], msg }] }`. */
function findFault(body: string): { detail: string; param: string } | undefined {
  let parsed: { detail?: { loc?: unknown[]; msg?: unknown }[] };
  try {
    parsed = JSON.parse(body);
  } catch {
    // Not what Cog sends; the caller reports the status.
    return undefined;
  }
  const [first] = Array.isArray(parsed?.detail) ? parsed.detail : [];
  const field = first?.loc?.[2];
  if (typeof field !== 'string' || typeof first?.msg !== 'string') return undefined;
  return { param: field, detail: `${field} ${first.msg}`.slice(0, 512) };
}

async function readBounded(response: Response, watch: Watch): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return '';
  const decoder = new TextDecoder();
  let text = '';
  try {
    while (text.length < ERROR_BODY_BYTES_MAX) {
      const { done, value } = await watch.guard(reader.read());
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
    return text;
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Milliseconds of a `Retry-After` in seconds, at most a minute; undefined for anything else. */
function parseRetryAfter(value: string | null): number | undefined {
  if (value === null || !/^\d{1,6}$/.test(value)) return undefined;
  return Math.min(Number(value), 60) * 1000;
}

function isEventStream(response: Response): boolean {
  return response.headers.get('Content-Type')?.startsWith(MEDIA_TYPES.eventStream) ?? false;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
