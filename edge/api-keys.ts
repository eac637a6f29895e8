/**
 * Who is calling: look-up of hashed keys, compared in constant time.
 *
 * An isolate keeps a record for at most 2 s and a refusal for 1 s, so that a revoked key is out within 2 s. From half of that
 * age on the next request refreshes it behind its own back. Only plain data is shared between requests, never a promise.
 */
import { parseApiKey } from '#shared/api-key.ts';
import { ServiceError } from '#shared/errors.ts';
import { decodeHex, equalBytes, sha256 } from '#shared/hex.ts';
import type { KeyRecord, Scope } from './config.ts';
import { Lru } from './lru.ts';
import type { BucketLimits } from './token-bucket.ts';

/** A caller whose credentials were accepted. */
export interface Caller {
  readonly keyId: string;
  readonly account: string;
  readonly scopes: readonly Scope[];
  readonly limits: BucketLimits;
}

export interface ApiKeysOptions {
  /** Asks the owner of the key. Null: there is no such key, or it is revoked. */
  readonly lookUp: (id: string) => Promise<KeyRecord | null>;
  readonly now: () => number;
}

interface Known {
  readonly record: KeyRecord | null;
  readonly atMs: number;
  refreshing: boolean;
}

const RECORD_AGE_MS_MAX = 2000;
const REFUSAL_AGE_MS_MAX = 1000;
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
   * @throws {ServiceError} `missing_credentials`, `invalid_credentials` (the same for unknown, revoked and wrong keys), or
   *   `auth_unavailable`
   */
  async authenticate(
    authorization: string | undefined,
    { waitUntil }: { readonly waitUntil: (work: Promise<unknown>) => void },
  ): Promise<Caller> {
    if (authorization === undefined || authorization.trim() === '') {
      throw new ServiceError('missing_credentials', {
        detail: 'Send an API key in the header Authorization: Bearer pxe_sk_….',
      });
    }
    const token = AUTHORIZATION_PATTERN.exec(authorization)?.[1] ?? '';
    const parsed = parseApiKey(token);
    // A checksum that fails is a slip of the pen: no key has it, so nothing is looked up.
    if (parsed === undefined) throw new ServiceError('invalid_credentials');

    const record = await this.#record(parsed.id, waitUntil);
    const expected = record === null ? NOBODY : decodeHex(record.sha256);
    const matches = equalBytes(await sha256(token), expected);
    if (record === null || !matches) throw new ServiceError('invalid_credentials');
    return {
      keyId: record.id,
      account: record.account,
      scopes: record.scopes,
      limits: { rate: record.rate, burst: record.burst },
    };
  }

  async #record(
    id: string,
    waitUntil: (work: Promise<unknown>) => void,
  ): Promise<KeyRecord | null> {
    const known = this.#known.get(id);
    const ageMs = known === undefined ? Number.POSITIVE_INFINITY : this.#options.now() - known.atMs;
    const ageMsMax = known?.record === null ? REFUSAL_AGE_MS_MAX : RECORD_AGE_MS_MAX;
    if (known === undefined || ageMs >= ageMsMax || ageMs < 0) return this.#fetch(id);
    if (ageMs >= ageMsMax / 2 && !known.refreshing) {
      known.refreshing = true;
      // A failed refresh leaves the record to expire; the request that then has to wait reports it.
      waitUntil(this.#fetch(id).catch(() => undefined));
    }
    return known.record;
  }

  async #fetch(id: string): Promise<KeyRecord | null> {
    // The age counts from before the question: an answer may be as old as its journey.
    const atMs = this.#options.now();
    let record: KeyRecord | null;
    try {
      record = await this.#options.lookUp(id);
    } catch (cause) {
      throw new ServiceError('auth_unavailable', { retryAfterMs: 1000, cause });
    }
    this.#known.set(id, { record, atMs, refreshing: false });
    return record;
  }
}
