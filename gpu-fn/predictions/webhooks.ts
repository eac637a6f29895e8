/**
 * Webhooks of predictions, as Cog sends them: the caller's URL gets the state of the prediction.
 *
 * Unsigned, since who may ask for one is settled by the request's own signature. Redirects are not followed,
 * so a receiver cannot point this process elsewhere.
 */
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Prediction } from './prediction.ts';

export const WEBHOOK_EVENTS = ['start', 'output', 'logs', 'completed'] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

export interface WebhookRequest {
  readonly url: string;
  readonly events: ReadonlySet<WebhookEvent>;
  /** `traceparent` and `tracestate` of the creating request. */
  readonly traceHeaders: Readonly<Record<string, string>>;
}

export interface WebhookSenderOptions {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly authToken: string | undefined;
  /** Least pause between two `start` or `logs` webhooks of one prediction. */
  readonly throttleMs: number;
  readonly fetch?: typeof fetch;
  /** Waits; rejects when the signal is aborted. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly now?: () => number;
}

const ATTEMPTS_MAX = 12;
const ATTEMPT_DEADLINE_MS = 30_000;
const RETRY_DELAY_MS = 100;
const RETRY_EXPONENT_MAX = 10;
const RETRIED = new Set([429, 500, 502, 503, 504]);
/** Deliveries at one time; a receiver that hangs must not collect pictures in memory. */
const DELIVERIES_MAX = 64;

export class WebhookSender {
  readonly #options: WebhookSenderOptions;
  readonly #fetch: typeof fetch;
  readonly #sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly #now: () => number;
  readonly #stop = new AbortController();
  readonly #deliveries = new Set<Promise<void>>();

  constructor(options: WebhookSenderOptions) {
    this.#options = options;
    this.#fetch = options.fetch ?? fetch;
    this.#sleep = options.sleep ?? sleepFor;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Sends what happens to `prediction` from now on. Events of one prediction arrive in order. */
  follow(prediction: Prediction, request: WebhookRequest): void {
    let last: Promise<void> = Promise.resolve();
    let pending = false;
    let throttledUntil = 0;
    prediction.onChange((event) => {
      if (!request.events.has(event)) return;
      const isFinal = event === 'completed';
      if (event === 'start' || event === 'logs') {
        const now = this.#now();
        if (now < throttledUntil) return;
        throttledUntil = now + this.#options.throttleMs;
      }
      // Each body is the whole state, so one that still waits to be sent makes this one superfluous.
      if (pending && !isFinal) return;
      pending = true;
      last = this.#track(
        last.then(async () => {
          pending = false;
          await this.#deliver(prediction, request, isFinal);
        }),
      );
    });
  }

  /** Waits for deliveries on their way; gives up on them after `deadlineMs`. */
  async drain({ deadlineMs }: { deadlineMs: number }): Promise<void> {
    const timer = setTimeout(() => this.#stop.abort(new Error('shutting down')), deadlineMs);
    await Promise.all(this.#deliveries);
    clearTimeout(timer);
  }

  #track(delivery: Promise<void>): Promise<void> {
    this.#deliveries.add(delivery);
    void delivery.finally(() => this.#deliveries.delete(delivery));
    return delivery;
  }

  /** Never rejects: a webhook that cannot be delivered is counted and logged. */
  async #deliver(prediction: Prediction, request: WebhookRequest, isFinal: boolean): Promise<void> {
    const { log, metrics } = this.#options;
    if (this.#deliveries.size > DELIVERIES_MAX) {
      metrics.webhooks.inc({ outcome: 'failed' });
      log.error('webhook.dropped', { prediction_id: prediction.id });
      return;
    }
    const body = JSON.stringify(prediction.body());
    const attemptsMax = isFinal ? ATTEMPTS_MAX : 1;
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const outcome = await this.#attempt(request, body);
      const last = attempt === attemptsMax - 1 || this.#stop.signal.aborted;
      if (outcome !== 'retry' || last) {
        const counted = outcome === 'retry' ? 'failed' : outcome;
        metrics.webhooks.inc({ outcome: counted });
        if (counted !== 'delivered') {
          const attempts = attempt + 1;
          log.info('webhook.failed', { prediction_id: prediction.id, outcome: counted, attempts });
        }
        return;
      }
      const delayMs = RETRY_DELAY_MS * 2 ** Math.min(attempt, RETRY_EXPONENT_MAX);
      await this.#sleep(delayMs, this.#stop.signal).catch(() => undefined); // `last` ends it
    }
  }

  async #attempt(
    request: WebhookRequest,
    body: string,
  ): Promise<'delivered' | 'refused' | 'retry'> {
    const { authToken } = this.#options;
    try {
      const response = await this.#fetch(request.url, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          'User-Agent': 'pixart-edge',
          ...(authToken && { Authorization: `Bearer ${authToken}` }),
          ...request.traceHeaders,
        },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(ATTEMPT_DEADLINE_MS)]),
      });
      // Nothing in the answer matters; reading none of it frees the connection whatever its size.
      await response.body?.cancel();
      if (response.ok) return 'delivered';
      return RETRIED.has(response.status) ? 'retry' : 'refused';
    } catch {
      return 'retry'; // network error or deadline: the retries decide
    }
  }
}

function sleepFor(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const onAbort = () => {
    clearTimeout(timer);
    reject(signal.reason);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return promise.finally(() => signal.removeEventListener('abort', onAbort));
}
