/**
 * The Durable Object of one API key: its record, its revocation, its exact budgets, its open streams, what it used, and the
 * requests that it gave a name.
 *
 * A budget is decided synchronously in memory, so that no two requests can take the same token, and written behind:
 * a write in the request's path would cost more than everything else in it.
 */
import { DurableObject } from 'cloudflare:workers';
import { encodeHex } from '#shared/hex.ts';
import { RETRY_WINDOW_MS } from '#shared/limits.ts';
import type { KeyRecord, Quota } from '#shared/schemas/api-key.ts';
import {
  createTokenKey,
  signToken,
  type TokenClaims,
  type TokenKey,
  type TokenSigningKey,
  toPublic,
} from './browser-token.ts';
import { loadConfig } from './config.ts';
import type { Env } from './env.ts';
import { type Begun, IdempotencyLog, type KeptResponse } from './idempotency-log.ts';
import { Lru } from './lru.ts';
import type { PayingToken } from './paying-token.ts';
import { type SlotWish, StreamSlots } from './stream-slots.ts';
import {
  type BucketLimits,
  type BucketState,
  type BucketView,
  fullBucket,
  takeTokens,
  viewBucket,
} from './token-bucket.ts';
import { type UsageCounts, UsageLog, type UsageState } from './usage-log.ts';

export interface TakeResult extends BucketView {
  readonly taken: number;
  readonly revoked: boolean;
  /** Which other limit than the rate refused it. */
  readonly exhausted?: 'quota' | 'token' | undefined;
}

/** A key as the isolates know it. */
export interface KnownKey extends KeyRecord {
  /** The secret that was replaced, while it is still good. */
  readonly previous?: { readonly sha256: string; readonly untilMs: number } | undefined;
  readonly tokenKeys?: readonly TokenKey[] | undefined;
}

/** Everything about a key but its secret. */
export interface KeyDescription {
  readonly record: KeyRecord;
  readonly source: 'api' | 'configuration';
  readonly createdMs: number | undefined;
  readonly revokedMs: number | undefined;
}

export interface KeyUsage extends UsageState {
  readonly openStreams: number;
  /** Its quota, with the generations of the current period. */
  readonly quota: (Quota & { readonly used: number }) | undefined;
}

interface StoredKey {
  readonly record: KeyRecord;
  readonly createdMs: number;
  readonly previous?: { readonly sha256: string; readonly untilMs: number } | undefined;
}

type Budget = 'generation' | 'read';

/** How long a bucket may differ from what is stored: what a crash can give back at most. */
const WRITE_BEHIND_MS = 250;
/** Browser tokens that are counted at once: more than a key can mint in the life of one. */
const TOKENS_MAX = 10_000;
const RETRIES_MAX = 1000;
const STORED = ['revoked_at', 'generation', 'read', 'key', 'token_keys', 'usage'];

export class ApiKey extends DurableObject<Env> {
  readonly #buckets = new Map<Budget, BucketState>();
  readonly #streams = new StreamSlots();
  readonly #named: IdempotencyLog;
  /** Pictures drawn with each browser token. */
  readonly #tokens = new Map<string, { drawn: number; readonly expiresMs: number }>();
  readonly #retries = new Lru<{ readonly salt: string; readonly atMs: number }>({
    countMax: RETRIES_MAX,
  });
  #usage = new UsageLog(undefined);
  #revokedAtMs: number | undefined;
  #key: StoredKey | undefined;
  #tokenKeys: readonly TokenSigningKey[] = [];
  /** The write that is due, or the last one. */
  #written: Promise<void> = Promise.resolve();
  #isDue = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#named = new IdempotencyLog(ctx.storage);
    void ctx.blockConcurrencyWhile(async () => {
      const stored = await ctx.storage.get<unknown>(STORED);
      this.#revokedAtMs = stored.get('revoked_at') as number | undefined;
      this.#key = stored.get('key') as StoredKey | undefined;
      this.#tokenKeys = (stored.get('token_keys') as TokenSigningKey[] | undefined) ?? [];
      this.#usage = new UsageLog(stored.get('usage') as UsageState | undefined);
      for (const budget of ['generation', 'read'] as const) {
        const state = stored.get(budget) as BucketState | undefined;
        if (state !== undefined) this.#buckets.set(budget, state);
      }
    });
  }

  /** The record as it counts now, or null for a key that is unknown, revoked or expired. */
  record(): KnownKey | null {
    const record = this.#record();
    if (record === undefined || this.#isOver()) return null;
    const previous = this.#key?.previous;
    return { ...record, previous, tokenKeys: this.#tokenKeys.map(toPublic) };
  }

  /** The record whether or not it counts, or null where there has never been one. */
  describe(): KeyDescription | null {
    const record = this.#record();
    if (record === undefined) return null;
    return {
      record,
      source: this.#configured() === undefined ? 'api' : 'configuration',
      createdMs: this.#key?.createdMs,
      revokedMs: this.#revokedAtMs,
    };
  }

  /** Makes the key known. Its id is new, so nothing is overwritten. */
  async create(record: KeyRecord): Promise<void> {
    this.#key = { record, createdMs: Date.now() };
    await this.ctx.storage.put('key', this.#key);
  }

  /**
   * Gives the key another secret. The old one and tokens under it are good for `graceMs` more.
   *
   * @returns false for a key that was not made here: the operator keeps its secret
   */
  async rotate(sha256: string, graceMs: number): Promise<boolean> {
    const key = this.#key;
    if (key === undefined) return false;
    const untilMs = Date.now() + graceMs;
    const { record, createdMs } = key;
    this.#key = {
      record: { ...record, sha256 },
      createdMs,
      ...(graceMs > 0 && { previous: { sha256: record.sha256, untilMs } }),
    };
    this.#tokenKeys = this.#tokenKeys.map((it) => ({ ...it, untilMs: it.untilMs ?? untilMs }));
    await this.ctx.storage.put({ key: this.#key, token_keys: this.#tokenKeys });
    return true;
  }

  /** From now on nobody is let in with this key. */
  async revoke(): Promise<void> {
    this.#revokedAtMs ??= Date.now();
    await this.ctx.storage.put('revoked_at', this.#revokedAtMs);
  }

  /** A browser token of this key, or null when the key is over. */
  async mintToken(
    wanted: Omit<TokenClaims, 'aud' | 'sub' | 'jti' | 'iat' | 'exp'> & {
      readonly ttlSeconds: number;
    },
  ): Promise<{ readonly token: string; readonly jti: string; readonly exp: number } | null> {
    if (this.record() === null) return null;
    const { ttlSeconds, ...rest } = wanted;
    const key = await this.#tokenKey();
    const jti = randomHex(16);
    const iat = Math.floor(Date.now() / 1000);
    const exp = iat + ttlSeconds;
    return { token: await signToken(key, { ...rest, sub: this.#id, jti, iat, exp }), jti, exp };
  }

  /** Takes one generation, or none. */
  takeGeneration(limits: BucketLimits, token?: PayingToken): TakeResult {
    const nowMs = Date.now();
    const exhausted = this.#findExhausted(token, nowMs);
    const result = this.#take('generation', limits, exhausted === undefined ? 1 : 0);
    const { taken } = result;
    if (taken > 0 && token !== undefined) {
      const { drawn = 0 } = this.#tokens.get(token.id) ?? {};
      this.#tokens.set(token.id, { drawn: drawn + 1, expiresMs: token.expiresMs });
    }
    this.#usage.add(taken > 0 ? { generations: 1 } : { refused: 1 }, nowMs);
    return exhausted === undefined ? result : { ...result, exhausted };
  }

  /** Takes a lease of reads for an isolate; `unused` of its last one come back. */
  takeReads(
    limits: BucketLimits,
    { count, unused }: { count: number; unused: number },
  ): TakeResult {
    const result = this.#take('read', limits, count, unused);
    this.#usage.add({ requests: result.taken - unused }, Date.now());
    return result;
  }

  /** What is left of the generations. */
  generations(limits: BucketLimits): BucketView {
    const nowMs = Date.now();
    return viewBucket(this.#bucket('generation', limits, nowMs), limits, nowMs);
  }

  /** An execution that this key has paid for is over. */
  settle(outcome: 'completed' | 'failed' | 'canceled', computeMs: number): void {
    this.#usage.add(
      { [outcome]: 1, compute_ms: Math.round(computeMs) } satisfies Partial<UsageCounts>,
      Date.now(),
    );
    this.#writeBehind();
  }

  usage(): KeyUsage {
    const nowMs = Date.now();
    const quota = this.#record()?.quota;
    return {
      ...this.#usage.state,
      openStreams: this.#streams.count(nowMs),
      quota: quota && { ...quota, used: this.#usage.generations(quota.period, nowMs) },
    };
  }

  /** Opens a stream, or says that an open one still is. */
  holdStream(wish: SlotWish): { held: boolean; isOver: boolean } {
    const isOver = this.#isOver();
    return { held: !isOver && this.#streams.hold(wish, Date.now()), isOver };
  }

  releaseStream(streamId: string): void {
    this.#streams.release(streamId);
  }

  /** Begins a request that its caller gave a name. */
  async beginNamed(name: string, fingerprint: string): Promise<Begun> {
    const nowMs = Date.now();
    const begun = this.#named.begin(name, { fingerprint, salt: randomHex(16), nowMs });
    if (begun.state === 'new' && (await this.ctx.storage.getAlarm()) === null) {
      await this.ctx.storage.setAlarm(this.#named.nextExpiryMs() ?? nowMs);
    }
    return begun;
  }

  renewNamed(name: string): void {
    this.#named.renew(name, Date.now());
  }

  finishNamed(name: string, response: KeptResponse | undefined): void {
    this.#named.finish(name, response);
  }

  waitForNamed(name: string, waitMs: number): Promise<void> {
    return this.#named.wait(name, waitMs);
  }

  /**
   * Salt of a request without a name: its own, or that of the attempt it repeats. Kept in memory: it matters for seconds.
   *
   * @param fingerprint  of method, path and body
   */
  saltOf(fingerprint: string, { isRetry }: { readonly isRetry: boolean }): string {
    const nowMs = Date.now();
    const known = this.#retries.get(fingerprint);
    if (isRetry && known !== undefined && nowMs - known.atMs < RETRY_WINDOW_MS) return known.salt;
    const salt = randomHex(16);
    this.#retries.set(fingerprint, { salt, atMs: nowMs });
    return salt;
  }

  /** Fires when named requests are a day old. */
  override async alarm(): Promise<void> {
    this.#named.expire(Date.now());
    const nextMs = this.#named.nextExpiryMs();
    if (nextMs !== undefined) await this.ctx.storage.setAlarm(nextMs);
  }

  /** Resolves once the storage holds what memory does. */
  settled(): Promise<void> {
    return this.#written;
  }

  /** Id of the key: the name that the object is asked for by. */
  get #id(): string {
    return this.ctx.id.name ?? '';
  }

  #configured(): KeyRecord | undefined {
    return loadConfig(this.env).bootstrapKeys.find(({ id }) => id === this.#id);
  }

  #record(): KeyRecord | undefined {
    return this.#configured() ?? this.#key?.record;
  }

  /** Revoked, or past its time. */
  #isOver(): boolean {
    const expiresAt = this.#record()?.expires_at;
    const isExpired = expiresAt !== undefined && expiresAt * 1000 <= Date.now();
    return isExpired || this.#revokedAtMs !== undefined;
  }

  async #tokenKey(): Promise<TokenSigningKey> {
    const current = this.#tokenKeys.find(({ untilMs }) => untilMs === undefined);
    if (current !== undefined) return current;
    const number = Number(this.#tokenKeys.at(-1)?.kid.split('-')[1] ?? 0) + 1;
    const key = await createTokenKey(`${this.#id}-${number}`);
    const nowMs = Date.now();
    const others = this.#tokenKeys.filter(
      ({ untilMs }) => untilMs === undefined || untilMs > nowMs,
    );
    // Two that are made at the same time are both good.
    this.#tokenKeys = [...others, key];
    await this.ctx.storage.put('token_keys', this.#tokenKeys);
    return key;
  }

  #findExhausted(token: PayingToken | undefined, nowMs: number): 'quota' | 'token' | undefined {
    const quota = this.#record()?.quota;
    if (quota !== undefined && this.#usage.generations(quota.period, nowMs) >= quota.generations) {
      return 'quota';
    }
    if (token === undefined) return undefined;
    for (const [id, { expiresMs }] of this.#tokens) {
      if (expiresMs <= nowMs) this.#tokens.delete(id);
    }
    const { drawn = 0 } = this.#tokens.get(token.id) ?? {};
    const isFull = this.#tokens.size >= TOKENS_MAX && !this.#tokens.has(token.id);
    return drawn >= token.generations || isFull ? 'token' : undefined;
  }

  #take(budget: Budget, limits: BucketLimits, count: number, unused = 0): TakeResult {
    const nowMs = Date.now();
    const before = this.#bucket(budget, limits, nowMs);
    const returned = Math.max(0, Math.min(unused, limits.burst - before.tokens));
    const credited = { ...before, tokens: before.tokens + returned };
    const revoked = this.#isOver();
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
        const usage = this.#usage.state;
        return this.ctx.storage.put({ ...Object.fromEntries(this.#buckets), usage });
      },
    );
    this.ctx.waitUntil(this.#written);
  }
}

function randomHex(bytes: number): string {
  return encodeHex(crypto.getRandomValues(new Uint8Array(bytes)));
}
