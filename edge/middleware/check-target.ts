/** Path, method, size of headers and body: refused before anyone is asked who they are. */
import type { MiddlewareHandler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { HEADER_BYTES_MAX, HEADER_FIELD_BYTES_MAX, HEADER_FIELDS_MAX } from '#shared/limits.ts';
import type { AppEnv } from '../app-env.ts';
import { renderError } from '../render-error.ts';
import { checkPath, rawPath } from '../request-path.ts';

export function checkTarget(): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    // A preflight that is refused shows the page nothing but a network error; the request itself tells what is wrong.
    const isPreflight =
      c.req.method === 'OPTIONS' && c.req.header('Access-Control-Request-Method') !== undefined;
    if (isPreflight) return c.body(null, 204);
    checkPath(c.req.url);
    checkHeaders(c.req.raw.headers);
    const { route, surface, requestId } = c.var;
    const path = rawPath(c.req.url);
    // Files of the page are only read.
    const methods = route?.methods ?? (surface === 'problem' ? ['GET', 'HEAD'] : undefined);
    if (methods === undefined) throw new ServiceError('not_found');
    const { method } = c.req;
    const allow = [...methods, 'OPTIONS'].join(', ');
    if (method === 'OPTIONS') return c.body(null, 204, { Allow: allow });
    if (!methods.includes(method)) {
      const error = new ServiceError('method_not_allowed', {
        detail: `Only ${allow} are possible here.`,
      });
      const response = renderError(error, { surface, requestId, instance: path });
      response.headers.set('Allow', allow);
      return response;
    }
    const length = c.req.header('Content-Length');
    if (route !== undefined && route.bodyBytesMax > 0 && Number(length) > route.bodyBytesMax) {
      throw new ServiceError('payload_too_large', {
        detail: `The body has ${length} bytes, ${route.bodyBytesMax} are allowed.`,
      });
    }
    return next();
  };
}

function checkHeaders(headers: Headers): void {
  let count = 0;
  let bytes = 0;
  for (const [name, value] of headers) {
    const size = name.length + value.length;
    count += 1;
    bytes += size;
    if (size > HEADER_FIELD_BYTES_MAX) {
      throw new ServiceError('headers_too_large', {
        detail: `A header may have ${HEADER_FIELD_BYTES_MAX} bytes.`,
      });
    }
  }
  if (count > HEADER_FIELDS_MAX || bytes > HEADER_BYTES_MAX) {
    throw new ServiceError('headers_too_large', {
      detail: `A request may have ${HEADER_FIELDS_MAX} headers of ${HEADER_BYTES_MAX} bytes in all.`,
    });
  }
}
