/** Outermost: gives the request its id and clock, and the response the headers that every response has. */
import type { MiddlewareHandler } from 'hono';
import { HEADERS, REQUEST_ID_PATTERN } from '#shared/headers.ts';
import { encodeHex } from '#shared/hex.ts';
import type { AppEnv, Deps } from '../app-env.ts';
import { setRateLimitHeaders } from '../rate-limit-headers.ts';
import { rawPath } from '../request-path.ts';
import { findRoute, surfaceOf } from '../route-table.ts';
import { StageTimes } from '../timing.ts';

const TRACEPARENT_PATTERN = /^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

export function requestId({
  log,
  now,
  counters,
}: Pick<Deps, 'log' | 'now' | 'counters'>): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const given = c.req.header(HEADERS.requestId);
    const id = given !== undefined && REQUEST_ID_PATTERN.test(given) ? given : newId('req_');
    const path = rawPath(c.req.url);
    const route = findRoute(path);
    const times = new StageTimes(now);
    c.set('requestId', id);
    c.set('traceparent', nextTraceparent(c.req.header(HEADERS.traceparent)));
    c.set('times', times);
    c.set('route', route);
    c.set('surface', route?.surface ?? surfaceOf(path));
    c.set('reads', undefined);
    c.set('isPrivate', false);
    c.set('generations', undefined);
    c.set('logFields', {});

    await next();

    const headers = new Headers(c.res.headers);
    headers.set(HEADERS.requestId, id);
    headers.set(HEADERS.serverTiming, times.toHeader());
    headers.set('X-Content-Type-Options', 'nosniff');
    setRateLimitHeaders(headers, { generation: c.var.generations, read: c.var.reads });
    if (c.var.surface === 'openai')
      headers.set('openai-processing-ms', String(Math.round(times.totalMs)));
    c.res = new Response(c.res.body, { status: c.res.status, headers });

    const { status } = c.res;
    const { code, cache } = c.var.logFields as { code?: string; cache?: string };
    const { method } = c.req;
    const outcomes = cache?.split(',') ?? [];
    counters.count({ route, method, status, totalMs: times.totalMs, code, outcomes });
    counters.flushIfDue((work) => c.executionCtx.waitUntil(work));
    const level = status >= 500 ? 'error' : 'info';
    log[level]('request.completed', {
      request_id: id,
      method,
      // Without its query: keys have been sent there by mistake.
      path,
      status,
      key_id: (c.var.caller as { keyId?: string } | undefined)?.keyId,
      ...Object.fromEntries(Object.entries(times.toObject()).map(([k, ms]) => [`${k}_ms`, ms])),
      ...c.var.logFields,
    });
  };
}

/** A new span in the caller's trace, or in a new one where it names none. */
function nextTraceparent(given: string | undefined): string {
  const span = randomHex(8);
  const [version, trace, , flags] = (given ?? '').split('-');
  return given !== undefined && TRACEPARENT_PATTERN.test(given) && version !== 'ff'
    ? `00-${trace}-${span}-${flags}`
    : `00-${randomHex(16)}-${span}-00`;
}

function newId(prefix: string): string {
  return prefix + randomHex(12);
}

function randomHex(bytes: number): string {
  return encodeHex(crypto.getRandomValues(new Uint8Array(bytes)));
}
