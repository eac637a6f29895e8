/**
 * Takes an upstream out of use while it fails, and lets one request at a time find out whether it is back.
 *
 *     closed ── FAILURES_MAX in a row ──▶ open ── after a while ──▶ half-open (one probe)
 *        ▲                                  ▲                           │
 *        └────────── probe succeeds ────────┴────── probe fails ────────┘   the while doubles, up to OPEN_MS_MAX
 *
 * Plain numbers, so that every object of an isolate can share it. A probe that never reports, because its object was lost,
 * gives its place up after a while.
 */

export type CircuitState = 'closed' | 'open' | 'half-open';

/** Leave to call the upstream; settled once, with what came of it. */
export interface Permit {
  readonly isProbe: boolean;
  /** It answered as it should. */
  succeed(): void;
  /** It failed as only a sick upstream does. */
  fail(): void;
  /** Nothing was learnt: the caller left, or the upstream was busy. */
  release(): void;
}

export interface CircuitBreakerOptions {
  readonly now: () => number;
  /** Time after which a probe without news no longer counts. */
  readonly probeMsMax: number;
}

const FAILURES_MAX = 5;
const OPEN_MS = 5000;
const OPEN_MS_MAX = 60_000;

export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  #failures = 0;
  #openMs = OPEN_MS;
  /** When it may be tried again; undefined while closed. */
  #openUntilMs: number | undefined;
  #probe: { readonly sinceMs: number } | undefined;

  constructor(options: CircuitBreakerOptions) {
    this.#options = options;
  }

  get state(): CircuitState {
    if (this.#openUntilMs === undefined) return 'closed';
    return this.#options.now() < this.#openUntilMs ? 'open' : 'half-open';
  }

  /** Milliseconds after which a request has a chance, 0 when it has one now. */
  get waitMs(): number {
    if (this.#openUntilMs === undefined) return 0;
    const restMs = this.#openUntilMs - this.#options.now();
    if (restMs > 0) return restMs;
    return this.#isProbing() ? 1000 : 0;
  }

  /** Undefined while the upstream must not be called. */
  acquire(): Permit | undefined {
    const { state } = this;
    if (state === 'closed') return this.#permit(undefined);
    if (state === 'open' || this.#isProbing()) return undefined;
    this.#probe = { sinceMs: this.#options.now() };
    return this.#permit(this.#probe);
  }

  #isProbing(): boolean {
    const { now, probeMsMax } = this.#options;
    return this.#probe !== undefined && now() - this.#probe.sinceMs < probeMsMax;
  }

  #permit(probe: { readonly sinceMs: number } | undefined): Permit {
    let settled = false;
    const settle = (then: () => void) => () => {
      if (settled) return;
      settled = true;
      // A verdict that comes after another probe took its place has been overtaken.
      if (probe !== this.#probe) return;
      this.#probe = undefined;
      then();
    };
    return {
      isProbe: probe !== undefined,
      succeed: settle(() => {
        if (probe === undefined && this.#openUntilMs !== undefined) return;
        this.#failures = 0;
        this.#openMs = OPEN_MS;
        this.#openUntilMs = undefined;
      }),
      fail: settle(() => {
        if (probe === undefined && this.#openUntilMs !== undefined) return;
        this.#failures += 1;
        if (probe !== undefined) this.#openMs = Math.min(this.#openMs * 2, OPEN_MS_MAX);
        if (probe === undefined && this.#failures < FAILURES_MAX) return;
        this.#failures = 0;
        this.#openUntilMs = this.#options.now() + this.#openMs;
      }),
      release: settle(() => undefined),
    };
  }
}
