/**
 * Which web pages may call: those of our own origin and of `CORS_ORIGINS`; pictures are open to all. Where that setting has a
 * star every page may ask, and `authenticate` looks whether its key is good from there.
 *
 * A preflight carries no key and needs none. Answers never allow credentials, so cookies play no part.
 */
import type { Context, MiddlewareHandler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import type { AppEnv } from '../app-env.ts';
import type { Config } from '../config.ts';
import { mayCall } from '../request-origin.ts';

const EXPOSED = [
  'x-request-id',
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
  'ratelimit',
  'ratelimit-policy',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
  'cache-status',
  'pixart-warning',
  'age',
  'server-timing',
  'etag',
  'location',
  'content-location',
  'link',
  'content-digest',
  'preference-applied',
  'idempotency-replayed',
  'openai-processing-ms',
].join(', ');

const ALLOWED_METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, QUERY, OPTIONS';
/** Chromium's ceiling. */
const MAX_AGE_SECONDS = '7200';
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

export function cors(
  config: Pick<Config, 'corsOrigins' | 'publicOrigin'>,
): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const origin = c.req.header('Origin');
    const allowed = allowedOrigin(c, origin, config);
    const isPreflight =
      c.req.method === 'OPTIONS' && c.req.header('Access-Control-Request-Method') !== undefined;
    if (isPreflight && allowed !== undefined) {
      for (const [name, value] of preflightHeaders(c)) c.header(name, value);
    }
    const isWrite = !['GET', 'HEAD', 'OPTIONS'].includes(c.req.method);
    if (origin !== undefined && allowed === undefined && isWrite) {
      throw new ServiceError('origin_not_allowed', {
        detail: 'Pages of this origin may not call the API; the operator lists those that may.',
      });
    }
    await next();
    const { headers } = c.res;
    if (c.var.route?.anyOrigin !== true) headers.append('Vary', 'Origin');
    if (allowed === undefined || c.var.isPrivate) return;
    headers.set('Access-Control-Allow-Origin', allowed);
    headers.set('Access-Control-Expose-Headers', EXPOSED);
    headers.set('Timing-Allow-Origin', allowed);
  };
}

function allowedOrigin(
  c: Context<AppEnv>,
  origin: string | undefined,
  config: Pick<Config, 'corsOrigins' | 'publicOrigin'>,
): string | undefined {
  // The same for every asker, so that shared caches need not tell them apart.
  if (c.var.route?.anyOrigin === true) return '*';
  if (origin === undefined) return undefined;
  return mayCall(origin, c.req.url, config) ? origin : undefined;
}

function preflightHeaders(c: Context<AppEnv>): [string, string][] {
  const wanted = (c.req.header('Access-Control-Request-Headers') ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => TOKEN.test(name));
  return [
    ['Access-Control-Allow-Methods', ALLOWED_METHODS],
    ...(wanted.length > 0
      ? [['Access-Control-Allow-Headers', wanted.join(', ')] as [string, string]]
      : []),
    ['Access-Control-Max-Age', MAX_AGE_SECONDS],
    ['Vary', 'Access-Control-Request-Headers, Access-Control-Request-Method'],
  ];
}
