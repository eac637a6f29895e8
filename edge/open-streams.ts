/**
 * The open streams of callers: each holds a place of its key, says once a second that it is still there, and hears in the
 * answer whether its key has been revoked.
 */
import { ServiceError } from '#shared/errors.ts';
import { STREAMS_PER_TOKEN } from '#shared/limits.ts';
import type { Caller } from './api-keys.ts';
import type { KeyNamespace } from './key-objects.ts';
import type { SlotWish } from './stream-slots.ts';

/** Half of the time within which a revoked key has to be out. */
const RENEW_MS = 1000;

export interface OpenStreamOptions {
  /** The key is over: the stream has to end with this error. */
  readonly onOver: (error: ServiceError) => void;
  readonly waitUntil: (work: Promise<unknown>) => void;
}

/** The place of one stream: taken when there is something to wait for, given back when the stream ends. */
export interface StreamPlace {
  /** @throws {ServiceError} `too_many_streams`, `invalid_credentials` or `auth_unavailable` */
  readonly take: () => Promise<void>;
  readonly release: () => void;
}

export class OpenStreams {
  readonly #keys: KeyNamespace;

  constructor(keys: KeyNamespace) {
    this.#keys = keys;
  }

  place(caller: Caller, options: OpenStreamOptions): StreamPlace {
    let isTaken = false;
    let release: (() => void) | undefined;
    return {
      take: async () => {
        if (isTaken) return;
        isTaken = true;
        release = await this.#open(caller, options);
      },
      release: () => release?.(),
    };
  }

  async #open(caller: Caller, options: OpenStreamOptions): Promise<() => void> {
    const { streams, token, keyId } = caller;
    if (streams === undefined) return () => undefined;
    const wish: SlotWish = {
      id: crypto.randomUUID(),
      countMax: streams,
      token: token && { id: token.id, countMax: STREAMS_PER_TOKEN },
    };
    const hold = () => this.#keys.getByName(keyId).holdStream(wish);
    const { held, isOver } = await hold().catch((cause: unknown) => {
      throw new ServiceError('auth_unavailable', { retryAfterMs: 1000, cause });
    });
    if (isOver) throw new ServiceError('invalid_credentials');
    if (!held) {
      const many =
        token === undefined ? `${streams} with this key` : `${STREAMS_PER_TOKEN} with this token`;
      throw new ServiceError('too_many_streams', {
        detail: `At most ${many} may be open at once.`,
        retryAfterMs: 1000,
      });
    }
    const timer = setInterval(() => {
      hold().then(
        (now) => {
          if (!now.isOver) return;
          options.onOver(
            new ServiceError('invalid_credentials', { detail: 'The API key has been revoked.' }),
          );
        },
        // An object that is moving answers the next time.
        () => undefined,
      );
    }, RENEW_MS);
    return () => {
      clearInterval(timer);
      const released = this.#keys.getByName(keyId).releaseStream(wish.id);
      // Unheard, it is free after its lease.
      options.waitUntil(released.catch(() => undefined));
    };
  }
}
