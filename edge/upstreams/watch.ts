/** Stops a call at its deadline, after too long a silence, or when its caller leaves; remembers which. */
import { ServiceError } from '#shared/errors.ts';

export interface WatchOptions {
  readonly deadlineMs: number;
  /** Longest silence, before the head of an answer and in its body. */
  readonly idleMs: number;
  /** The caller's: aborted when nobody waits any longer. */
  readonly signal: AbortSignal;
}

export class Watch {
  readonly #controller = new AbortController();
  readonly #deadline: ReturnType<typeof setTimeout>;
  readonly #idleMs: number;
  readonly #caller: AbortSignal;
  readonly #stopped = Promise.withResolvers<never>();
  #idle: ReturnType<typeof setTimeout> | undefined;
  #reason: unknown;
  #hasHead = false;
  #cancel: (() => void) | undefined;

  constructor({ deadlineMs, idleMs, signal }: WatchOptions) {
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
    this.rest();
    this.#idle = setTimeout(() => {
      const code = this.#hasHead ? 'upstream_stalled' : 'deadline_exceeded';
      const message = `nothing for ${this.#idleMs} ms ${this.#hasHead ? 'in the body' : 'before the head'}`;
      this.#stop(new ServiceError(code, { message, retryAfterMs: 1000 }));
    }, this.#idleMs);
  }

  /** Nothing is expected until the next `touch()`. */
  rest(): void {
    if (this.#idle !== undefined) clearTimeout(this.#idle);
    this.#idle = undefined;
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
        message: 'the connection to the upstream failed',
        retryAfterMs: 1000,
        cause,
      });
    }
  }

  /** @throws why the watch has stopped, if it has */
  throwIfStopped(): void {
    if (this.#reason !== undefined) throw this.#reason;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#deadline);
    this.rest();
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
