/**
 * The Durable Object of one API key: its record, its revocation, its exact budgets.
 *
 * A budget is decided synchronously in memory, so that no two requests can take the same token, and written behind:
 * a write in the request's path would cost more than everything else in it.
 */
import { DurableObject } from 'cloudflare:workers';
import { type KeyRecord, loadConfig } from './config.ts';
import type { Env } from './env.ts';
import {
  type BucketLimits,
  type BucketState,
  type BucketView,
  fullBucket,
  takeTokens,
  viewBucket,
} from './token-bucket.ts';

export interface TakeResult extends BucketView {
  readonly taken: number;
  readonly revoked: boolean;
}

type Budget = 'generation' | 'read';

/** How long a bucket may differ from what is stored: what a crash can give back at most. */
const WRITE_BEHIND_MS = 250;

export class ApiKey extends DurableObject<Env> {
  readonly #buckets = new Map<Budget, BucketState>();
  #revokedAtMs: number | undefined;
  #record: KeyRecord | undefined;
  /** The write that is due, or the last one. */
  #written: Promise<void> = Promise.resolve();
  #isDue = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    void ctx.blockConcurrencyWhile(async () => {
      const stored = await ctx.storage.get<unknown>(['revoked_at', 'generation', 'read', 'record']);
      this.#revokedAtMs = stored.get('revoked_at') as number | undefined;
      this.#record = stored.get('record') as KeyRecord | undefined;
      for (const budget of ['generation', 'read'] as const) {
        const state = stored.get(budget) as BucketState | undefined;
        if (state !== undefined) this.#buckets.set(budget, state);
      }
    });
  }

  /** The record as it counts now, or null for a key that is unknown or revoked. */
  record(id: string): KeyRecord | null {
    if (this.#revokedAtMs !== undefined) return null;
    const configured = loadConfig(this.env).bootstrapKeys.find((key) => key.id === id);
    return configured ?? this.#record ?? null;
  }

  /** From now on nobody is let in with this key. */
  async revoke(): Promise<void> {
    this.#revokedAtMs = Date.now();
    await this.ctx.storage.put('revoked_at', this.#revokedAtMs);
  }

  /** Takes one generation, or none. */
  takeGeneration(limits: BucketLimits): TakeResult {
    return this.#take('generation', limits, 1);
  }

  /** Takes a lease of reads for an isolate; `unused` of its last one come back. */
  takeReads(
    limits: BucketLimits,
    { count, unused }: { count: number; unused: number },
  ): TakeResult {
    return this.#take('read', limits, count, unused);
  }

  /** What is left of the generations. */
  generations(limits: BucketLimits): BucketView {
    const nowMs = Date.now();
    return viewBucket(this.#bucket('generation', limits, nowMs), limits, nowMs);
  }

  /** Resolves once the storage holds what memory does. */
  settled(): Promise<void> {
    return this.#written;
  }

  #take(budget: Budget, limits: BucketLimits, count: number, unused = 0): TakeResult {
    const nowMs = Date.now();
    const before = this.#bucket(budget, limits, nowMs);
    const returned = Math.max(0, Math.min(unused, limits.burst - before.tokens));
    const credited = { ...before, tokens: before.tokens + returned };
    const revoked = this.#revokedAtMs !== undefined;
    const { state, taken } = takeTokens(credited, limits, { nowMs, count: revoked ? 0 : count });
    this.#buckets.set(budget, state);
    this.#writeBehind();
    return { taken, revoked, ...viewBucket(state, limits, nowMs) };
  }

  #bucket(budget: Budget, limits: BucketLimits, nowMs: number): BucketState {
    return this.#buckets.get(budget) ?? fullBucket(limits, nowMs);
  }

  #writeBehind(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#written = new Promise<void>((resolve) => setTimeout(resolve, WRITE_BEHIND_MS)).then(
      () => {
        this.#isDue = false;
        return this.ctx.storage.put(Object.fromEntries(this.#buckets));
      },
    );
    this.ctx.waitUntil(this.#written);
  }
}
