/**
 * How many attempts beyond the first a group of requests may cost: a tenth of them.
 *
 * Counted in slices of a sliding window, so that the state stays a handful of numbers. Without the few that are always
 * allowed a service with three requests a minute could never repeat one.
 */

const WINDOW_MS = 60_000;
const SLICES = 6;
const SLICE_MS = WINDOW_MS / SLICES;
const SHARE = 0.1;
/** Allowed in any window, however few the requests. */
const RETRIES_MIN = 3;

interface Slice {
  /** Number of the slice since the epoch. */
  number: number;
  requests: number;
  retries: number;
}

export class RetryBudget {
  readonly #slices: Slice[] = Array.from({ length: SLICES }, () => ({
    number: -1,
    requests: 0,
    retries: 0,
  }));
  readonly #now: () => number;

  constructor({ now }: { readonly now: () => number }) {
    this.#now = now;
  }

  countRequest(): void {
    this.#current().requests += 1;
  }

  /** Whether one more attempt may be made; it is counted if so. */
  takeRetry(): boolean {
    const current = this.#current();
    let requests = 0;
    let retries = 0;
    for (const slice of this.#slices) {
      if (slice.number <= current.number - SLICES) continue;
      requests += slice.requests;
      retries += slice.retries;
    }
    if (retries + 1 > Math.max(RETRIES_MIN, Math.floor(requests * SHARE))) return false;
    current.retries += 1;
    return true;
  }

  #current(): Slice {
    const number = Math.floor(this.#now() / SLICE_MS);
    const slice = this.#slices[number % SLICES]!;
    if (slice.number !== number) Object.assign(slice, { number, requests: 0, retries: 0 });
    return slice;
  }
}
