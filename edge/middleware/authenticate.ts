/** Who calls, and whether the key may do this. */
import type { MiddlewareHandler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import type { ApiKeys, Caller } from '../api-keys.ts';
import type { AppEnv } from '../app-env.ts';
import type { Config } from '../config.ts';

export function authenticate(
  config: Pick<Config, 'authMode' | 'bootstrapKeys' | 'anonymousLimits'>,
  apiKeys: ApiKeys,
): MiddlewareHandler<AppEnv> {
  const anonymous: Caller = {
    keyId: 'anonymous',
    account: 'anonymous',
    scopes: ['generate', 'read'],
    limits: config.anonymousLimits,
  };
  return async (c, next) => {
    if (config.authMode === 'none') {
      c.set('caller', anonymous);
      return next();
    }
    if (config.bootstrapKeys.length === 0) {
      throw new ServiceError('auth_unavailable', {
        detail: 'No API keys are configured, so nobody is served.',
        message: 'neither API_KEYS_BOOTSTRAP nor AUTH_MODE=none is set',
      });
    }
    const caller = await c.var.times.measure('auth', () =>
      apiKeys.authenticate(c.req.header('Authorization'), {
        waitUntil: (work) => c.executionCtx.waitUntil(work),
      }),
    );
    c.set('caller', caller);
    const scope = c.var.route?.scope;
    if (typeof scope === 'string' && !caller.scopes.includes(scope)) {
      throw new ServiceError('scope_denied', { detail: `The key lacks the scope ${scope}.` });
    }
    return next();
  };
}
