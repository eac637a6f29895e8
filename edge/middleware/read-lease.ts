/** The read budget of the caller's key. */
import type { MiddlewareHandler } from 'hono';
import type { AppEnv } from '../app-env.ts';
import type { ReadLeases } from '../read-leases.ts';

export function readLease(leases: ReadLeases): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const view = await c.var.times.measure('limit', () =>
      leases.take(c.var.caller.keyId, { waitUntil: (work) => c.executionCtx.waitUntil(work) }),
    );
    c.set('reads', view);
    return next();
  };
}
