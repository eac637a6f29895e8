/**
 * What is refused before a request is routed: ambiguous framing, oversized heads, paths in disguise.
 *
 * Router and later code read the path in different ways; a path with only one reading leaves nothing to
 * disagree about.
 */
import type { IncomingMessage } from 'node:http';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS } from '#shared/headers.ts';
import { HEADER_FIELD_BYTES_MAX, HEADER_FIELDS_MAX, URL_BYTES_MAX } from '#shared/limits.ts';

/** Headers that must not come twice: the copies may be read by different parts. */
const SINGLE = new Set(
  [
    'Host',
    'Content-Length',
    'Content-Type',
    'Content-Encoding',
    'Transfer-Encoding',
    'Accept',
    'Prefer',
    HEADERS.requestId,
    HEADERS.previews,
    HEADERS.keyId,
    HEADERS.timestamp,
    HEADERS.nonce,
    HEADERS.signature,
  ].map((name) => name.toLowerCase()),
);

/** Encoded slash, backslash, dot, NUL and control characters; or anything but visible ASCII. */
const DISGUISED = /%(?:2f|5c|2e|[01][0-9a-f]|7f)|[^!-~]|\\|\/\/|#/i;

/**
 * @throws {ServiceError} `uri_too_long`, `invalid_path`, `headers_too_large`, `invalid_header`,
 *   `unsupported_encoding`
 */
export function guardRequest({ url = '', rawHeaders, headers }: IncomingMessage): void {
  if (url.length > URL_BYTES_MAX) throw new ServiceError('uri_too_long');
  const path = url.split('?', 1)[0]!;
  const hasDots = path.split('/').some((segment) => segment === '.' || segment === '..');
  if (!path.startsWith('/') || hasDots || DISGUISED.test(path)) {
    throw new ServiceError('invalid_path');
  }
  guardHeaders(rawHeaders);
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new ServiceError('unsupported_encoding', { detail: 'The body must not be compressed.' });
  }
}

function guardHeaders(rawHeaders: readonly string[]): void {
  if (rawHeaders.length > 2 * HEADER_FIELDS_MAX) {
    const detail = `A request may have ${HEADER_FIELDS_MAX} header fields.`;
    throw new ServiceError('headers_too_large', { detail });
  }
  const seen = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (name.length + rawHeaders[i + 1]!.length > HEADER_FIELD_BYTES_MAX) {
      throw new ServiceError('headers_too_large');
    }
    if (!SINGLE.has(name)) continue;
    if (seen.has(name)) {
      throw new ServiceError('invalid_header', { detail: `The header ${name} appears twice.` });
    }
    seen.add(name);
  }
}
