/**
 * API keys as those see them who manage them: made, listed, given another secret, revoked.
 *
 * A key lives in its own object; the ring of its account only lists it. What is done to a key is done there first.
 */
import { API_KEY_ID_PATTERN, createApiKey } from '#shared/api-key.ts';
import { ServiceError } from '#shared/errors.ts';
import { API_KEYS_PER_ACCOUNT_MAX, STREAMS_PER_KEY } from '#shared/limits.ts';
import type { KeyObject, KeyRecord } from '#shared/schemas/api-key.ts';
import type { ApiKey, KeyDescription, KeyUsage } from './api-key.ts';
import type { Caller } from './api-keys.ts';
import type { TokenClaims } from './browser-token.ts';
import type { KeyRing } from './key-ring.ts';

export type NewKey = Omit<KeyRecord, 'id' | 'sha256'>;

export interface KeyStoreOptions {
  readonly keys: DurableObjectNamespace<ApiKey>;
  readonly rings: DurableObjectNamespace<KeyRing>;
  /** Keys of the configuration. */
  readonly configured: readonly KeyRecord[];
}

type MintWish = Omit<TokenClaims, 'aud' | 'sub' | 'jti' | 'iat' | 'exp'> & {
  readonly ttlSeconds: number;
};

export class KeyStore {
  readonly #options: KeyStoreOptions;

  constructor(options: KeyStoreOptions) {
    this.#options = options;
  }

  /** Makes a key; the answer holds it, and nothing else ever will. */
  async create(wanted: NewKey): Promise<KeyObject> {
    const { key, id, sha256 } = await createApiKey({ type: wanted.type ?? 'secret' });
    const record: KeyRecord = { ...wanted, id, sha256 };
    const object = this.#options.keys.getByName(id);
    await object.create(record);
    const shown = toKeyObject({
      record,
      source: 'api',
      createdMs: Date.now(),
      revokedMs: undefined,
    });
    if (!(await this.#ring(record.account).put(shown))) {
      await object.revoke();
      throw new ServiceError('invalid_parameter', {
        detail: `An account has at most ${API_KEYS_PER_ACCOUNT_MAX} keys; revoke some first.`,
      });
    }
    return { ...shown, key };
  }

  /** Keys of an account, those of the configuration last. */
  async list(account: string): Promise<KeyObject[]> {
    const listed = await this.#ring(account).list();
    const rest = this.#options.configured.filter(
      (key) => key.account === account && listed.every(({ id }) => id !== key.id),
    );
    const configured = rest.map((record) =>
      toKeyObject({
        record,
        source: 'configuration',
        createdMs: undefined,
        revokedMs: undefined,
      }),
    );
    return [...listed, ...configured];
  }

  /** @throws {ServiceError} `not_found` for what the caller may not see, whether or not there is such a key */
  async describe(id: string, caller: Caller): Promise<KeyDescription> {
    const found = API_KEY_ID_PATTERN.test(id)
      ? await this.#options.keys.getByName(id).describe()
      : null;
    const isOwn = found?.record.account === caller.account;
    if (found === null || !(isOwn || caller.scopes.includes('admin'))) {
      throw new ServiceError('not_found', { detail: 'There is no such key.' });
    }
    return found;
  }

  /** @throws {ServiceError} `not_found` */
  async show(id: string, caller: Caller): Promise<KeyObject> {
    return toKeyObject(await this.describe(id, caller));
  }

  /**
   * Another secret for a key.
   *
   * @throws {ServiceError} `not_found`; `invalid_parameter` for a key of the configuration or one that is revoked
   */
  async rotate(id: string, graceMs: number, caller: Caller): Promise<KeyObject> {
    const { record, source, revokedMs } = await this.describe(id, caller);
    if (source === 'configuration') {
      throw new ServiceError('invalid_parameter', {
        detail: 'This key comes from API_KEYS_BOOTSTRAP; the operator changes it there.',
        param: 'id',
      });
    }
    if (revokedMs !== undefined) {
      throw new ServiceError('invalid_parameter', {
        detail: 'This key is revoked; make another one.',
        param: 'id',
      });
    }
    const { key, sha256 } = await createApiKey({ type: record.type ?? 'secret', id });
    await this.#options.keys.getByName(id).rotate(sha256, graceMs);
    return { ...(await this.show(id, caller)), key };
  }

  /** @throws {ServiceError} `not_found` */
  async revoke(id: string, caller: Caller): Promise<KeyObject> {
    await this.describe(id, caller);
    await this.#options.keys.getByName(id).revoke();
    const shown = await this.show(id, caller);
    await this.#ring(shown.account).put(shown);
    return shown;
  }

  /** A browser token, or null when the key is over. */
  mint(id: string, wanted: MintWish): Promise<{ token: string; jti: string; exp: number } | null> {
    return this.#options.keys.getByName(id).mintToken(wanted);
  }

  usage(id: string): Promise<KeyUsage> {
    return this.#options.keys.getByName(id).usage();
  }

  #ring(account: string) {
    return this.#options.rings.getByName(account);
  }
}

export function toKeyObject(description: KeyDescription): KeyObject {
  const { record, source, createdMs, revokedMs } = description;
  return {
    object: 'api_key',
    id: record.id,
    type: record.type ?? 'secret',
    name: record.name ?? null,
    account: record.account,
    scopes: [...record.scopes],
    rate: record.rate,
    burst: record.burst,
    quota: record.quota ?? null,
    streams: record.streams ?? STREAMS_PER_KEY,
    allowed_origins: record.allowed_origins ?? null,
    allowed_models: record.allowed_models ?? null,
    source,
    created_at: toSeconds(createdMs),
    expires_at: record.expires_at ?? null,
    revoked_at: toSeconds(revokedMs),
  };
}

function toSeconds(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.floor(ms / 1000);
}
