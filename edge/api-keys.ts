/**
 * Who is calling: look-up of hashed keys, compared in constant time, and of the browser tokens that keys have signed.
 *
 * An isolate keeps a record for at most 2 s and a refusal for 1 s, so that a revoked key is out within 2 s. From half of that
 * age on the next request refreshes it behind its own back. What does not match what is known is looked up again once that is
 * a moment old: it may have been made since. Only plain data is shared between requests, never a
 * promise.
 */
import { parseApiKey } from '#shared/api-key.ts';
import { ServiceError } from '#shared/errors.ts';
import { decodeHex, equalBytes, sha256 } from '#shared/hex.ts';
import { STREAMS_PER_KEY } from '#shared/limits.ts';
import type { Scope } from '#shared/schemas/api-key.ts';
import type { KnownKey } from './api-key.ts';
import { parseToken, verifyToken } from './browser-token.ts';
import { Lru } from './lru.ts';
import type { PayingToken } from './paying-token.ts';
import type { BucketLimits } from './token-bucket.ts';

export type CallerKind = 'secret' | 'publishable' | 'token' | 'anonymous';

/** A caller whose credentials were accepted. */
export interface Caller {
  readonly kind: CallerKind;
  readonly keyId: string;
  readonly account: string;
  readonly scopes: readonly Scope[];
  readonly limits: BucketLimits;
  /** Streams that the key may have open; undefined: any number. */
  readonly streams?: number | undefined;
  /** Origins that it is good from; undefined: it need not come from a page. */
  readonly origins?: readonly string[] | undefined;
  /** Models that it may draw with; undefined: all. */
  readonly models?: readonly string[] | undefined;
  readonly token?: PayingToken | undefined;
}

export interface ApiKeysOptions {
  /** Asks the owner of the key. Null: there is no such key, or it is revoked. */
  readonly lookUp: (id: string) => Promise<KnownKey | null>;
  readonly now: () => number;
}

interface Known {
  readonly record: KnownKey | null;
  readonly atMs: number;
  refreshing: boolean;
}

type WaitUntil = (work: Promise<unknown>) => void;

const RECORD_AGE_MS_MAX = 2000;
const REFUSAL_AGE_MS_MAX = 1000;
/** A new secret; a first token, which may be used right where it was made. */
const SECOND_LOOK_MS = { secret: 250, token: 50 } as const;
const KNOWN_MAX = 10_000;
/** Compared with when there is no record, so that an unknown key takes the same time as a wrong one. */
const NOBODY = new Uint8Array(32);

/** One scheme, one space, one token of visible ASCII. */
const AUTHORIZATION_PATTERN = /^(?:bearer|token|key) ([\x21-\x7e]+)$/i;

export class ApiKeys {
  readonly #options: ApiKeysOptions;
  readonly #known = new Lru<Known>({ countMax: KNOWN_MAX });

  constructor(options: ApiKeysOptions) {
    this.#options = options;
  }

  /**
   * @throws {ServiceError} `missing_credentials`, `invalid_credentials` (the same for unknown, revoked and wrong keys),
   *   `token_expired`, `token_not_yet_valid`, or `auth_unavailable`
   */
  async authenticate(
    authorization: string | undefined,
    { waitUntil }: { readonly waitUntil: WaitUntil },
  ): Promise<Caller> {
    if (authorization === undefined || authorization.trim() === '') {
      throw new ServiceError('missing_credentials', {
        detail: 'Send an API key in the header Authorization: Bearer pxe_sk_….',
      });
    }
    const text = AUTHORIZATION_PATTERN.exec(authorization)?.[1] ?? '';
    // A checksum that fails is a slip of the pen: no key has it, so nothing is looked up.
    const key = parseApiKey(text);
    if (key !== undefined) return this.#authenticateKey(text, key.id, waitUntil);
    const token = parseToken(text);
    if (token !== undefined) return this.#authenticateToken(text, token, waitUntil);
    throw new ServiceError('invalid_credentials');
  }

  /** The key has been changed here: what is known of it is looked up again. */
  forget(id: string): void {
    this.#known.delete(id);
  }

  async #authenticateKey(text: string, id: string, waitUntil: WaitUntil): Promise<Caller> {
    const digest = await sha256(text);
    const test = (known: KnownKey | null) => this.#hasSecret(known, digest);
    const record = await this.#find(id, waitUntil, { test, kind: 'secret' });
    if (record === undefined) throw new ServiceError('invalid_credentials');
    return { ...toCaller(record), kind: record.type ?? 'secret' };
  }

  async #authenticateToken(
    text: string,
    { keyId, kid }: { readonly keyId: string; readonly kid: string },
    waitUntil: WaitUntil,
  ): Promise<Caller> {
    const keyOf = (known: KnownKey | null) => known?.tokenKeys?.find((key) => key.kid === kid);
    const test = (known: KnownKey | null) => keyOf(known) !== undefined;
    const record = await this.#find(keyId, waitUntil, { test, kind: 'token' });
    const key = keyOf(record ?? null);
    if (record === undefined || key === undefined) throw new ServiceError('invalid_credentials');
    const claims = await verifyToken(text, { key, keyId, nowMs: this.#options.now() });
    return {
      ...toCaller(record),
      kind: 'token',
      // What the key has lost since, its tokens have lost too.
      scopes: claims.scopes.filter((scope) => record.scopes.includes(scope)),
      origins: claims.origins,
      models: intersect(record.allowed_models, claims.models),
      token: { id: claims.jti, generations: claims.generations, expiresMs: claims.exp * 1000 },
    };
  }

  /** Every branch does the same work, whatever is known. */
  #hasSecret(known: KnownKey | null, digest: Uint8Array): boolean {
    const { previous } = known ?? {};
    const isCurrent = equalBytes(digest, known === null ? NOBODY : decodeHex(known.sha256));
    const isPrevious = equalBytes(digest, previous ? decodeHex(previous.sha256) : NOBODY);
    if (known === null) return false;
    return (
      isCurrent || (isPrevious && previous !== undefined && previous.untilMs > this.#options.now())
    );
  }

  /** The record of a key if it passes the test; what is known is looked up once more before it fails. */
  async #find(
    id: string,
    waitUntil: WaitUntil,
    {
      test,
      kind,
    }: {
      readonly test: (known: KnownKey | null) => boolean;
      readonly kind: keyof typeof SECOND_LOOK_MS;
    },
  ): Promise<KnownKey | undefined> {
    let { record, atMs } = await this.#record(id, waitUntil);
    if (!test(record) && this.#options.now() - atMs >= SECOND_LOOK_MS[kind]) {
      ({ record, atMs } = await this.#fetch(id));
    }
    return test(record) && record !== null ? record : undefined;
  }

  async #record(id: string, waitUntil: WaitUntil): Promise<Known> {
    const known = this.#known.get(id);
    const ageMs = known === undefined ? Number.POSITIVE_INFINITY : this.#options.now() - known.atMs;
    const ageMsMax = known?.record === null ? REFUSAL_AGE_MS_MAX : RECORD_AGE_MS_MAX;
    if (known === undefined || ageMs >= ageMsMax || ageMs < 0) return this.#fetch(id);
    if (ageMs >= ageMsMax / 2 && !known.refreshing) {
      known.refreshing = true;
      // A failed refresh leaves the record to expire; the request that then has to wait reports it.
      waitUntil(this.#fetch(id).catch(() => undefined));
    }
    return known;
  }

  async #fetch(id: string): Promise<Known> {
    // The age counts from before the question: an answer may be as old as its journey.
    const atMs = this.#options.now();
    let record: KnownKey | null;
    try {
      record = await this.#options.lookUp(id);
    } catch (cause) {
      throw new ServiceError('auth_unavailable', { retryAfterMs: 1000, cause });
    }
    const known = { record, atMs, refreshing: false };
    this.#known.set(id, known);
    return known;
  }
}

function toCaller(record: KnownKey): Omit<Caller, 'kind'> {
  return {
    keyId: record.id,
    account: record.account,
    scopes: record.scopes,
    limits: { rate: record.rate, burst: record.burst },
    streams: record.streams ?? STREAMS_PER_KEY,
    origins: record.allowed_origins,
    models: record.allowed_models,
  };
}

function intersect(
  a: readonly string[] | undefined,
  b: readonly string[] | undefined,
): readonly string[] | undefined {
  return a !== undefined && b !== undefined ? a.filter((it) => b.includes(it)) : (a ?? b);
}
