/**
 * The read budget: what a key may ask of the edge, cheap to check.
 *
 * The exact bucket lives in the key's Durable Object. An isolate leases a block of it for 2 s and counts down in memory, so
 * that an ordinary request calls nobody; what it did not use goes back with the next lease. Only plain data is shared between
 * requests, never a promise.
 */
import { ServiceError } from '#shared/errors.ts';
import type { TakeResult } from './api-key.ts';
import { Lru } from './lru.ts';
import type { BucketLimits } from './token-bucket.ts';

export interface ReadLeasesOptions {
  readonly readsPerMinute: number;
  readonly take: (
    keyId: string,
    limits: BucketLimits,
    want: { readonly count: number; readonly unused: number },
  ) => Promise<TakeResult>;
  readonly now: () => number;
}

/** What the caller may be told of the budget. */
export interface ReadView {
  readonly limits: BucketLimits;
  readonly remaining: number;
  readonly nextMs: number;
}

interface Lease {
  left: number;
  untilMs: number;
  /** In the bucket when it was last asked. */
  behind: number;
  nextMs: number;
  refreshing: boolean;
}

const LEASE_MS = 2000;
const LEASES_MAX = 10_000;

export class ReadLeases {
  readonly #options: ReadLeasesOptions;
  readonly #leases = new Lru<Lease>({ countMax: LEASES_MAX });
  readonly limits: BucketLimits;
  readonly #blockSize: number;

  constructor(options: ReadLeasesOptions) {
    this.#options = options;
    this.limits = { rate: options.readsPerMinute, burst: options.readsPerMinute };
    // Two seconds' worth: 3.3 % of a minute, all that an isolate can hold back from the others.
    this.#blockSize = Math.max(1, Math.round((options.readsPerMinute * LEASE_MS) / 60_000));
  }

  /** @throws {ServiceError} `rate_limited` or `auth_unavailable` */
  async take(
    keyId: string,
    { waitUntil }: { readonly waitUntil: (work: Promise<unknown>) => void },
  ): Promise<ReadView> {
    const lease = this.#leases.get(keyId);
    if (lease !== undefined && lease.left > 0 && lease.untilMs > this.#options.now()) {
      lease.left -= 1;
      if (lease.left < this.#blockSize / 4 && !lease.refreshing) {
        lease.refreshing = true;
        // A failed top-up leaves the lease to run out; the request that then has to wait reports it.
        waitUntil(this.#lease(keyId, 0).catch(() => undefined));
      }
      return this.#view(lease);
    }
    const unused = lease?.left ?? 0;
    // Taken out before anything is awaited: nobody else may return or spend them.
    if (lease !== undefined) lease.left = 0;
    const fresh = await this.#lease(keyId, unused);
    if (fresh.left < 1) {
      throw new ServiceError('rate_limited', {
        detail: `This key may send ${this.limits.rate} requests a minute.`,
        retryAfterMs: fresh.nextMs,
      });
    }
    fresh.left -= 1;
    return this.#view(fresh);
  }

  /** Adds a block to the lease of a key. */
  async #lease(keyId: string, unused: number): Promise<Lease> {
    const untilMs = this.#options.now() + LEASE_MS;
    let result: TakeResult;
    try {
      result = await this.#options.take(keyId, this.limits, { count: this.#blockSize, unused });
    } catch (cause) {
      throw new ServiceError('auth_unavailable', { retryAfterMs: 1000, cause });
    }
    if (result.revoked) throw new ServiceError('invalid_credentials');
    const lease = this.#leases.get(keyId) ?? {
      left: 0,
      untilMs: 0,
      behind: 0,
      nextMs: 0,
      refreshing: false,
    };
    lease.left += result.taken;
    lease.untilMs = untilMs;
    lease.behind = result.remaining;
    lease.nextMs = result.nextMs;
    lease.refreshing = false;
    this.#leases.set(keyId, lease);
    return lease;
  }

  #view(lease: Lease): ReadView {
    return { limits: this.limits, remaining: lease.behind + lease.left, nextMs: lease.nextMs };
  }
}
