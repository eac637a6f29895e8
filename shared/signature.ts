/**
 * Signature of a forwarded request: the edge signs, the function verifies.
 *
 *     Pixart-Key-Id      which of several keys; they overlap while one replaces the other
 *     Pixart-Timestamp   milliseconds since 1970
 *     Pixart-Nonce       32 hexadecimal digits, used once
 *     Pixart-Signature   HMAC-SHA-256, 64 lower-case hexadecimal digits, over the lines of `signedText`
 *
 * A request is accepted once, and only while its timestamp is within `SIGNATURE_SKEW_MS_MAX` of the receiver's clock.
 */
import { ServiceError } from './errors.ts';
import { HEADERS } from './headers.ts';
import { decodeHex, encodeHex, sha256Hex } from './hex.ts';
import { NONCE_TTL_MS, NONCES_MAX, SIGNATURE_SKEW_MS_MAX } from './limits.ts';

export interface SigningKey {
  readonly id: string;
  readonly secret: string;
}

export interface SignedRequest {
  readonly method: string;
  /** Request target: path and query as sent. */
  readonly path: string;
  readonly body: Uint8Array;
}

const SECRET_LENGTH_MIN = 16;

/**
 * Keys of a setting: `id:secret`, several separated by commas; the first one signs, all verify. A bare secret has the
 * id `default`.
 *
 * @throws {RangeError} on an id that is not `[A-Za-z0-9._-]{1,64}` or a secret shorter than 16 characters
 */
export function parseSigningKeys(setting: string): SigningKey[] {
  return setting.split(',').map((part) => {
    const text = part.trim();
    const colon = text.indexOf(':');
    const key =
      colon < 0
        ? { id: 'default', secret: text }
        : { id: text.slice(0, colon), secret: text.slice(colon + 1) };
    if (!/^[A-Za-z0-9._-]{1,64}$/.test(key.id)) {
      throw new RangeError('the id of a signing key must be [A-Za-z0-9._-]{1,64}');
    }
    if (key.secret.length < SECRET_LENGTH_MIN) {
      throw new RangeError(`a signing key must have at least ${SECRET_LENGTH_MIN} characters`);
    }
    return key;
  });
}

/** Headers that sign a request. */
export async function signRequest(
  request: SignedRequest,
  { key, nowMs }: { readonly key: SigningKey; readonly nowMs: number },
): Promise<Record<string, string>> {
  const timestamp = String(Math.floor(nowMs));
  const nonce = encodeHex(crypto.getRandomValues(new Uint8Array(16)));
  const text = await signedText(request, { keyId: key.id, timestamp, nonce });
  const mac = await crypto.subtle.sign('HMAC', await importKey(key), encode(text));
  return {
    [HEADERS.keyId]: key.id,
    [HEADERS.timestamp]: timestamp,
    [HEADERS.nonce]: nonce,
    [HEADERS.signature]: encodeHex(new Uint8Array(mac)),
  };
}

export interface VerifyOptions {
  /** Reads a header of the request. */
  readonly header: (name: string) => string | null | undefined;
  readonly keys: readonly SigningKey[];
  readonly nonces: NonceStore;
  readonly nowMs: number;
}

/**
 * Accepts a signed request or throws.
 *
 * @throws {ServiceError} `invalid_signature`, `clock_skew`, `replayed`, or `overloaded` when no more nonces can be
 *   remembered: one is never forgotten early to make room
 */
export async function verifyRequest(request: SignedRequest, options: VerifyOptions): Promise<void> {
  const keyId = options.header(HEADERS.keyId) ?? '';
  const timestamp = options.header(HEADERS.timestamp) ?? '';
  const nonce = options.header(HEADERS.nonce) ?? '';
  const signature = options.header(HEADERS.signature) ?? '';
  const key = options.keys.find(({ id }) => id === keyId);
  const wellFormed =
    /^\d{1,15}$/.test(timestamp) &&
    /^[0-9a-f]{32}$/.test(nonce) &&
    /^[0-9a-f]{64}$/.test(signature);
  if (key === undefined || !wellFormed) throw new ServiceError('invalid_signature');

  const text = await signedText(request, { keyId, timestamp, nonce });
  // WebCrypto compares in constant time.
  const genuine = await crypto.subtle.verify(
    'HMAC',
    await importKey(key),
    decodeHex(signature),
    encode(text),
  );
  if (!genuine) throw new ServiceError('invalid_signature');
  // Only a genuine signature may learn about the clock or use up a nonce.
  if (Math.abs(Number(timestamp) - options.nowMs) > SIGNATURE_SKEW_MS_MAX) {
    throw new ServiceError('clock_skew', {
      detail: `The timestamp differs by more than ${SIGNATURE_SKEW_MS_MAX / 1000} s from the server time ${new Date(options.nowMs).toISOString()}.`,
    });
  }
  options.nonces.use(`${keyId} ${nonce}`, options.nowMs);
}

/** Remembers nonces for as long as their signatures could be accepted; bounded. */
export class NonceStore {
  /** Nonce → time of expiry; insertion order is order of expiry. */
  readonly #seen = new Map<string, number>();
  readonly #capacity: number;

  constructor(capacity: number = NONCES_MAX) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#seen.size;
  }

  /** @throws {ServiceError} `replayed` when it was used before, `overloaded` when the store is full */
  use(nonce: string, nowMs: number): void {
    for (const [old, expiresMs] of this.#seen) {
      if (expiresMs > nowMs) break;
      this.#seen.delete(old);
    }
    if (this.#seen.has(nonce)) throw new ServiceError('replayed');
    if (this.#seen.size >= this.#capacity) {
      throw new ServiceError('overloaded', {
        message: `${this.#capacity} nonces are remembered`,
        retryAfterMs: 1000,
      });
    }
    this.#seen.set(nonce, nowMs + NONCE_TTL_MS);
  }
}

async function signedText(
  request: SignedRequest,
  parts: { readonly keyId: string; readonly timestamp: string; readonly nonce: string },
): Promise<string> {
  return [
    'pixart-edge/signature/1',
    request.method.toUpperCase(),
    request.path,
    await sha256Hex(request.body),
    parts.keyId,
    parts.timestamp,
    parts.nonce,
  ].join('\n');
}

async function importKey(key: SigningKey): Promise<CryptoKey> {
  return crypto.subtle.importKey(
    'raw',
    encode(key.secret),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['sign', 'verify'],
  );
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
}
