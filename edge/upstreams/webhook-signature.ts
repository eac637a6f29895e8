/**
 * Verifies webhooks signed by the Standard Webhooks scheme, as Replicate sends them.
 *
 *     webhook-id, webhook-timestamp (Unix seconds), webhook-signature: "v1,<base64>", several separated by blanks
 *     HMAC-SHA-256 over "{id}.{timestamp}.{body}", key: what follows "whsec_", in base64
 *
 * The body is the bytes that arrived, comparison takes constant time, and a delivery is good for five minutes.
 *
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
import { decodeBase64 } from '#shared/base64.ts';
import { ServiceError } from '#shared/errors.ts';

export interface SignedDelivery {
  /** Reads a header. */
  readonly header: (name: string) => string | undefined;
  readonly body: Uint8Array;
}

const TOLERANCE_MS = 300_000;
const SIGNATURES_MAX = 8;
const ID_PATTERN = /^[\x21-\x7e]{1,256}$/;
const SECRET_PATTERN = /^(?:whsec_)?([A-Za-z0-9+/]{22,}={0,2})$/;

/** Keys of a setting: secrets separated by commas, so that one can be replaced by another. */
export function parseWebhookSecrets(setting: string): Uint8Array<ArrayBuffer>[] {
  return setting.split(',').map((part) => {
    const base64 = SECRET_PATTERN.exec(part.trim())?.[1];
    if (base64 === undefined || base64.length % 4 !== 0) {
      throw new RangeError('a webhook secret must be whsec_ and base64');
    }
    return decodeBase64(base64);
  });
}

/**
 * @returns the id of the delivery, the same on every repetition
 * @throws {ServiceError} `invalid_signature` or `clock_skew`
 */
export async function verifyDelivery(
  delivery: SignedDelivery,
  {
    secrets,
    nowMs,
  }: { readonly secrets: readonly Uint8Array<ArrayBuffer>[]; readonly nowMs: number },
): Promise<string> {
  const { header, body } = delivery;
  const id = header('webhook-id') ?? '';
  const timestamp = header('webhook-timestamp') ?? '';
  const signatures = (header('webhook-signature') ?? '')
    .split(' ')
    .slice(0, SIGNATURES_MAX)
    .flatMap(parseSignature);
  if (!ID_PATTERN.test(id) || !/^\d{1,12}$/.test(timestamp)) {
    throw new ServiceError('invalid_signature');
  }
  const head = new TextEncoder().encode(`${id}.${timestamp}.`);
  const signed = new Uint8Array(head.length + body.length);
  signed.set(head);
  signed.set(body, head.length);
  let isGenuine = false;
  for (const secret of secrets) {
    const key = await crypto.subtle.importKey('raw', secret, HMAC, false, ['verify']);
    for (const signature of signatures) {
      // WebCrypto compares in constant time; every pair is tried, whichever fits.
      if (await crypto.subtle.verify('HMAC', key, signature, signed)) isGenuine = true;
    }
  }
  if (!isGenuine) throw new ServiceError('invalid_signature');
  // Only a genuine sender learns about the clock.
  if (Math.abs(Number(timestamp) * 1000 - nowMs) > TOLERANCE_MS) {
    throw new ServiceError('clock_skew', {
      detail: `The delivery is more than ${TOLERANCE_MS / 1000} s away from the server time ${new Date(nowMs).toISOString()}.`,
    });
  }
  return id;
}

const HMAC = { name: 'HMAC', hash: 'SHA-256' } as const;

/** The bytes of one signature of version 1, or nothing. */
function parseSignature(text: string): Uint8Array<ArrayBuffer>[] {
  const base64 = /^v1,([A-Za-z0-9+/]{43}=)$/.exec(text)?.[1];
  return base64 === undefined ? [] : [decodeBase64(base64)];
}
