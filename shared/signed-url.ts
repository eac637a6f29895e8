/**
 * URLs that carry their own permission: `exp`, `kid` and `sig` in the query.
 *
 *     exp     Unix seconds; at most an hour ahead
 *     kid     which of several keys; they overlap while one replaces the other
 *     scope   optional: account of a private picture
 *     sig     base64url(HMAC-SHA-256(key, "GET\n" path "\n" query)), without padding
 *
 * The path is signed as it stands in the URL; the query sorted by name, without `sig`, as
 * application/x-www-form-urlencoded. A signature for GET is good for HEAD.
 *
 * With `scope` the signature covers the picture and all that is made of it: the path is then that without the extension, and
 * of the query only `exp`, `kid` and `scope`.
 */
import { decodeBase64, encodeBase64 } from './base64.ts';
import { ServiceError } from './errors.ts';
import { SIGNATURE_SKEW_MS_MAX, SIGNED_URL_TTL_SECONDS_MAX } from './limits.ts';
import type { SigningKey } from './signature.ts';

export interface SignUrlOptions {
  readonly key: SigningKey;
  /** Unix seconds. */
  readonly expires: number;
  /** Account of a private picture. */
  readonly scope?: string | undefined;
}

/** Names that a signature brings along. */
export const SIGNATURE_NAMES = ['exp', 'kid', 'scope', 'sig'] as const;

/** The URL with its permission; what it had of one before is replaced. */
export async function signUrl(
  url: string,
  { key, expires, scope }: SignUrlOptions,
): Promise<string> {
  const target = new URL(url);
  for (const name of SIGNATURE_NAMES) target.searchParams.delete(name);
  target.searchParams.set('exp', String(expires));
  target.searchParams.set('kid', key.id);
  if (scope !== undefined) target.searchParams.set('scope', scope);
  const text = signedText(target.pathname, target.searchParams);
  const mac = await crypto.subtle.sign('HMAC', await importKey(key), encode(text));
  target.searchParams.set('sig', encodeBase64Url(new Uint8Array(mac)));
  return target.href;
}

/** Whether a query claims to be signed. */
export function isSigned(query: URLSearchParams): boolean {
  return SIGNATURE_NAMES.some((name) => query.has(name));
}

export interface UrlPermission {
  readonly keyId: string;
  readonly scope: string | undefined;
  /** Unix seconds. */
  readonly expires: number;
}

/**
 * @param path  as it was sent, undecoded
 * @throws {ServiceError} `url_expired`, or `url_signature_invalid` for everything else that is wrong with it
 */
export async function verifyUrl(
  { path, query }: { readonly path: string; readonly query: URLSearchParams },
  { keys, nowMs }: { readonly keys: readonly SigningKey[]; readonly nowMs: number },
): Promise<UrlPermission> {
  const [exp = '', kid = '', scope, sig = ''] = SIGNATURE_NAMES.map((name) => {
    const values = query.getAll(name);
    if (values.length > 1) throw invalid();
    return values[0];
  });
  const key = keys.find(({ id }) => id === kid);
  if (!/^[1-9]\d{0,11}$/.test(exp) || !/^[A-Za-z0-9_-]{43}$/.test(sig)) throw invalid();
  const expires = Number(exp);
  if (expires * 1000 <= nowMs) throw new ServiceError('url_expired');
  if (expires * 1000 > nowMs + SIGNED_URL_TTL_SECONDS_MAX * 1000 + SIGNATURE_SKEW_MS_MAX) {
    throw new ServiceError('url_signature_invalid', {
      detail: `exp may lie at most ${SIGNED_URL_TTL_SECONDS_MAX} s ahead.`,
    });
  }
  const mac = decodeBase64Url(sig);
  if (key === undefined || encodeBase64Url(mac) !== sig) throw invalid();
  // WebCrypto compares in constant time.
  const genuine = await crypto.subtle.verify(
    'HMAC',
    await importKey(key),
    mac,
    encode(signedText(path, query)),
  );
  if (!genuine) throw invalid();
  return { keyId: kid, scope, expires };
}

function signedText(path: string, query: URLSearchParams): string {
  const isScoped = query.has('scope');
  const names: readonly string[] = SIGNATURE_NAMES;
  const signed = [...query]
    .filter(([name]) => name !== 'sig' && (!isScoped || names.includes(name)))
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y));
  const covered = isScoped ? path.replace(/\.[A-Za-z0-9]+$/, '') : path;
  return ['GET', covered, new URLSearchParams(signed).toString()].join('\n');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function encodeBase64Url(bytes: Uint8Array): string {
  return encodeBase64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** @param text  43 characters of the alphabet */
function decodeBase64Url(text: string): Uint8Array<ArrayBuffer> {
  return decodeBase64(`${text.replaceAll('-', '+').replaceAll('_', '/')}=`);
}

function invalid(): ServiceError {
  return new ServiceError('url_signature_invalid');
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
