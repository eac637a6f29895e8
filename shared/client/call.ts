/**
 * One call and its attempts: the deadline that all of them share, and the only place where anything is repeated.
 *
 *     for (;;) {
 *       try { return await attempt(call); } catch (error) { await call.pause(error); }
 *     }
 */
import { ApiError, ConnectionError, PixartError, TimeoutError } from './errors.ts';

/** A hint beyond this is not waited for: the caller hears of it. */
const HINT_MS_MAX = 60_000;
/** Wait before the first repetition without a hint; doubles up to the second. */
const BACKOFF_MS = 500;
const BACKOFF_MS_MAX = 8000;

export interface CallOptions {
  /** Ends the call; the server stops drawing unless others wait for the same picture. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole call, repetitions and their waits included. */
  readonly timeoutMs?: number | undefined;
  /** Repetitions after the first attempt. */
  readonly maxRetries?: number | undefined;
  /** Names the call for the server, so that a repetition joins what runs already. Default: a random one where it matters. */
  readonly idempotencyKey?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export class Call {
  /** Aborted by the caller or by the deadline. */
  readonly signal: AbortSignal;
  readonly idempotencyKey: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly #caller: AbortSignal | undefined;
  readonly #timeoutMs: number;
  readonly #endMs: number;
  readonly #refreshesToken: boolean;
  #retriesMax: number;
  #attempts = 0;

  constructor(
    options: CallOptions,
    defaults: {
      readonly timeoutMs: number;
      readonly maxRetries: number;
      /** Whether the next attempt brings another token. */
      readonly refreshesToken: boolean;
    },
  ) {
    const { signal, timeoutMs = defaults.timeoutMs } = options;
    const deadline = AbortSignal.timeout(timeoutMs);
    this.signal = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
    this.idempotencyKey = options.idempotencyKey ?? randomKey();
    this.headers = options.headers ?? {};
    this.#caller = signal;
    this.#timeoutMs = timeoutMs;
    this.#endMs = Date.now() + timeoutMs;
    this.#refreshesToken = defaults.refreshesToken;
    this.#retriesMax = options.maxRetries ?? defaults.maxRetries;
  }

  /** Work of the caller's own, as long as the call lasts. */
  async within<T>(work: T | Promise<T>): Promise<T> {
    this.signal.throwIfAborted();
    const end = Promise.withResolvers<never>();
    const stop = () => end.reject(this.signal.reason);
    this.signal.addEventListener('abort', stop);
    try {
      return await Promise.race([work, end.promise]);
    } finally {
      this.signal.removeEventListener('abort', stop);
    }
  }

  /** Whether this is not the first attempt. */
  get isRepetition(): boolean {
    return this.#attempts > 0;
  }

  /** Waits until the next attempt, or throws what there is to tell when there will be none. */
  async pause(thrown: unknown): Promise<void> {
    const error = this.#describe(thrown);
    const ms = this.#delayAfter(error);
    if (ms === undefined || Date.now() + ms >= this.#endMs) throw error;
    this.#attempts += 1;
    await this.#sleep(ms);
  }

  /** Milliseconds to wait before the same thing is tried again; undefined: it is not. */
  #delayAfter(error: unknown): number | undefined {
    if (!(error instanceof PixartError) || this.#attempts >= this.#retriesMax) return undefined;
    const hint = error instanceof ApiError ? error.retryAfterMs : undefined;
    if (error instanceof ApiError && error.code === 'token_expired' && this.#refreshesToken) {
      return 0;
    }
    if (!error.retryable || (hint ?? 0) > HINT_MS_MAX) return undefined;
    const backoff = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** this.#attempts);
    // Those who failed together do not come back together.
    return hint ?? backoff * (1 - Math.random() / 4);
  }

  /** An end that caller or deadline brought about shows in many ways and has one name. */
  #describe(thrown: unknown): unknown {
    if (this.#caller?.aborted) return this.#caller.reason;
    if (this.signal.aborted) {
      return new TimeoutError(`The call took longer than ${this.#timeoutMs} ms.`, {
        cause: thrown,
      });
    }
    return thrown;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = () => {
        clearTimeout(timer);
        this.signal.removeEventListener('abort', wake);
        if (this.signal.aborted) reject(this.#describe(this.signal.reason));
        else resolve();
      };
      const timer = setTimeout(wake, ms);
      this.signal.addEventListener('abort', wake);
      if (this.signal.aborted) wake();
    });
  }
}

/** What `fetch` and the readers of bodies throw differs with the runtime; that the connection is gone does not. */
export async function orLost<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw new ConnectionError('The connection to the server failed.', { retryable: true, cause });
  }
}

/** 128 random bits. `randomUUID` is missing on pages that came over plain HTTP. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
