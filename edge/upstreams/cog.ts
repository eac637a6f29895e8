/**
 * A function of our own, over the Cog protocol with server-sent events: sign, deadline, one retry, read the stream.
 *
 * Every wait ends: the whole call at its deadline, each gap between two chunks at the idle limit, whether it falls before the
 * head or inside a stalled body. When the connection ends, so does the work behind it.
 */
import { ServiceError } from '#shared/errors.ts';
import { HEADERS, MEDIA_TYPES } from '#shared/headers.ts';
import { parseProgressLine } from '#shared/progress-line.ts';
import { prediction, predictionPreview } from '#shared/schemas/prediction.ts';
import { type SigningKey, signRequest } from '#shared/signature.ts';
import { SseDecoder, SseError, type SseEvent } from '#shared/sse.ts';
import { readBounded } from './read-bounded.ts';
import { parseRetryAfter } from './retry-after.ts';
import type { RetryBudget } from './retry-budget.ts';
import type { Upstream, UpstreamEvent, UpstreamEvents, UpstreamRequest } from './upstream.ts';
import { Watch } from './watch.ts';

export interface CogUpstreamOptions {
  readonly name: string;
  readonly url: string;
  readonly signingKey: SigningKey | undefined;
  readonly idleMs: number;
  readonly retryBudget: RetryBudget;
  readonly fetch: (request: Request) => Promise<Response>;
  readonly now: () => number;
  /** A number in [0, 1). */
  readonly random: () => number;
}

const RETRY_DELAY_MS = 50;
const ERROR_BODY_BYTES_MAX = 65_536;
const HEALTH_DEADLINE_MS = 2000;

export class CogUpstream implements Upstream {
  readonly isRepeatable = true;
  readonly #options: CogUpstreamOptions;

  constructor(options: CogUpstreamOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  async *predict(request: UpstreamRequest): UpstreamEvents {
    const { deadlineMs, signal } = request;
    using watch = new Watch({ deadlineMs, signal, idleMs: this.#options.idleMs });
    const response = await this.#open(request, watch);
    if (response.status !== 200) throw await this.#toRefusal(response, watch);
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
          const event = toUpstreamEvent(item, request.id);
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
    const { signal } = new AbortController();
    using watch = new Watch({ deadlineMs: HEALTH_DEADLINE_MS, idleMs: HEALTH_DEADLINE_MS, signal });
    try {
      const request = new Request(`${this.#options.url}/health-check`, {
        signal: watch.signal,
        redirect: 'manual',
      });
      const response = await watch.guard(this.#options.fetch(request));
      const { status } = JSON.parse(await readText(response, watch)) as { status?: unknown };
      return response.status === 200 && (status === 'READY' || status === 'BUSY');
    } catch {
      // Refused, reset, too slow or not JSON: all mean that it cannot be used.
      return false;
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
        const isLost = error instanceof ServiceError && error.code === 'upstream_lost';
        if (!isLost || attempt > 0 || !this.#options.retryBudget.takeRetry()) throw error;
        await watch.guard(pause(RETRY_DELAY_MS * (1 + this.#options.random())));
      }
    }
  }

  /** What a status other than 200 means for the caller. */
  async #toRefusal(response: Response, watch: Watch): Promise<ServiceError> {
    const { status } = response;
    const retryAfterMs = parseRetryAfter(response.headers.get('Retry-After'), this.#options.now());
    const body = await readText(response, watch);
    if (status === 409 || status === 429) {
      return new ServiceError('overloaded', { retryAfterMs: retryAfterMs ?? 1000 });
    }
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
}

/** The start of a body that only explains. */
async function readText(response: Response, watch: Watch): Promise<string> {
  const { bytes } = await readBounded(response, { watch, bytesMax: ERROR_BODY_BYTES_MAX });
  return new TextDecoder().decode(bytes);
}

function decode(decoder: SseDecoder, chunk: Uint8Array) {
  try {
    return decoder.push(chunk);
  } catch (error) {
    if (!(error instanceof SseError)) throw error;
    throw new ServiceError('upstream_invalid_response', { message: error.message, cause: error });
  }
}

function toUpstreamEvent(event: SseEvent, id: string): UpstreamEvent | undefined {
  switch (event.event) {
    case 'preview': {
      const parsed = predictionPreview.safeParse(parseData(event));
      if (!parsed.success) throw unusable(event, parsed.error);
      return { type: 'preview', ...parsed.data };
    }
    case 'completed': {
      const parsed = prediction.safeParse(parseData(event));
      if (!parsed.success) throw unusable(event, parsed.error);
      if (parsed.data.id !== undefined && parsed.data.id !== id) {
        throw new ServiceError('upstream_mismatch', {
          message: 'the answer is that of another id',
        });
      }
      return { type: 'completed', prediction: parsed.data };
    }
    case 'log':
      return toProgress(parseData(event));
    case 'error':
      // Cog's way to say that this subscriber missed events.
      throw unusable(event);
    default:
      // `start`, `output` and `metric` come again, whole, in `completed`.
      return undefined;
  }
}

/** Of the log only the progress is of use; the text comes again, whole, in `completed`. */
function toProgress(data: unknown): UpstreamEvent | undefined {
  const { data: text } = (data ?? {}) as { data?: unknown };
  const progress = typeof text === 'string' ? parseProgressLine(text) : undefined;
  return progress === undefined ? undefined : { type: 'progress', ...progress };
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

function isEventStream(response: Response): boolean {
  return response.headers.get('Content-Type')?.startsWith(MEDIA_TYPES.eventStream) ?? false;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
