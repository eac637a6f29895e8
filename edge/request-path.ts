/**
 * The one reader of request paths.
 *
 * Router, credentials and cache all see the path that it returns: neither decoded nor normalised. What has more than one reading
 * is refused: dot segments, empty segments, back-slashes, NUL, encoded slashes outside a last segment that may hold one.
 */
import { ServiceError } from '#shared/errors.ts';
import { URL_BYTES_MAX } from '#shared/limits.ts';

/** Last segments that may hold an encoded slash. */
const SLASH_ALLOWED = /^\/(?:v1\/models|prompt)\/[^/]+$/;

/** Path of an absolute URL exactly as it was sent. */
export function rawPath(url: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3);
  if (start < 0) return '/';
  const rest = url.slice(start);
  const end = rest.search(/[?#]/);
  return end < 0 ? rest : rest.slice(0, end);
}

/** @throws {ServiceError} `uri_too_long` or `invalid_path` */
export function checkPath(url: string): void {
  if (url.length - url.indexOf('/', url.indexOf('://') + 3) > URL_BYTES_MAX) {
    throw new ServiceError('uri_too_long', {
      detail: `Path and query may have ${URL_BYTES_MAX} bytes.`,
    });
  }
  const path = rawPath(url);
  if (!/^\/[\x21-\x7e]*$/.test(path) || path.includes('\\')) {
    throw invalid('it has characters that must be percent-encoded');
  }
  if (/%(?![0-9A-Fa-f]{2})/.test(path))
    throw invalid('a percent sign is not followed by two digits');
  if (/%(?:00|5c)/i.test(path)) throw invalid('it has an encoded NUL or back-slash');
  if (/%2f/i.test(path) && !SLASH_ALLOWED.test(path)) throw invalid('it has an encoded slash');
  if (path.includes('//')) throw invalid('it has an empty segment');
  const segments = path.replace(/%2e/gi, '.').replace(/%2f/gi, '/').split('/');
  if (segments.includes('.') || segments.includes('..')) throw invalid('it has a dot segment');
}

function invalid(reason: string): ServiceError {
  return new ServiceError('invalid_path', { detail: `The path is refused: ${reason}.` });
}
