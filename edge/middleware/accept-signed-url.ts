/**
 * Permission in the URL in place of a header, for what cannot send one, such as `<img>`: a signature, at the operator's expense,
 * or a publishable key, which is no secret. The key of a server is never read from a URL.
 */
import type { MiddlewareHandler } from 'hono';
import { isSigned, verifyUrl } from '#shared/signed-url.ts';
import type { AppEnv } from '../app-env.ts';
import type { Config } from '../config.ts';
import { rawPath } from '../request-path.ts';

const PUBLISHABLE_KEY = /^pxe_pk_[\x21-\x7e]+$/;

/** @param otherwise  who decides about a request without a signature */
export function acceptSignedUrl(
  { urlSigningKeys: keys, anonymousLimits }: Pick<Config, 'urlSigningKeys' | 'anonymousLimits'>,
  { now, otherwise }: { now: () => number; otherwise: MiddlewareHandler<AppEnv> },
): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const query = new URL(c.req.url).searchParams;
    if (!isSigned(query)) {
      c.req.raw = withPublishableKey(c.req.raw, query);
      return otherwise(c, next);
    }
    const path = rawPath(c.req.url);
    const { keyId } = await verifyUrl({ path, query }, { keys, nowMs: now() });
    c.set('caller', {
      kind: 'anonymous',
      keyId: `url.${keyId}`,
      account: 'anonymous',
      scopes: ['generate'],
      limits: anonymousLimits,
    });
    return next();
  };
}

/** The same request with the key where it is looked for, and with the page that a browser names as referrer. */
function withPublishableKey(request: Request, query: URLSearchParams): Request {
  const key = query.get('key') ?? '';
  const headers = new Headers(request.headers);
  if (!PUBLISHABLE_KEY.test(key) || headers.has('Authorization')) return request;
  headers.set('Authorization', `Bearer ${key}`);
  const referrer = headers.get('Referer') ?? '';
  if (!headers.has('Origin') && URL.canParse(referrer)) {
    headers.set('Origin', new URL(referrer).origin);
  }
  return new Request(request, { headers });
}
