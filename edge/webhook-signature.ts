/**
 * Signature of outgoing webhooks, the Standard Webhooks scheme: `v1,` and the base64 HMAC-SHA-256 of `{id}.{timestamp}.{body}`.
 *
 * A secret is `whsec_` and the base64 of the key. While one replaces another, both sign.
 */
import { decodeBase64, encodeBase64 } from '#shared/base64.ts';

const PREFIX = 'whsec_';
const KEY_BYTES = 32;

export function newWebhookSecret(): string {
  return PREFIX + encodeBase64(crypto.getRandomValues(new Uint8Array(KEY_BYTES)));
}

export async function signWebhook(
  message: { readonly id: string; readonly timestamp: string; readonly body: string },
  secrets: readonly string[],
): Promise<string> {
  const text = `${message.id}.${message.timestamp}.${message.body}`;
  const signatures = await Promise.all(secrets.map((secret) => hmacBase64(secret, text)));
  return signatures.map((signature) => `v1,${signature}`).join(' ');
}

/** HMAC-SHA-256 with the key of a secret, in base64. */
export async function hmacBase64(secret: string, text: string): Promise<string> {
  const key = await crypto.subtle.importKey(
    'raw',
    decodeBase64(secret.slice(PREFIX.length)),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['sign'],
  );
  const mac = await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(text));
  return encodeBase64(new Uint8Array(mac));
}
