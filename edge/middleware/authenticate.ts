/** Who calls, from where, and whether the key may do this. */
import type { Context, MiddlewareHandler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import type { ApiKeys, Caller } from '../api-keys.ts';
import type { AppEnv } from '../app-env.ts';
import type { Config } from '../config.ts';
import { callerOrigin, isListed } from '../request-origin.ts';

type AuthConfig = Pick<
  Config,
  'authMode' | 'bootstrapKeys' | 'anonymousLimits' | 'corsOrigins' | 'publicOrigin'
>;

export function authenticate(config: AuthConfig, apiKeys: ApiKeys): MiddlewareHandler<AppEnv> {
  const anonymous: Caller = {
    kind: 'anonymous',
    keyId: 'anonymous',
    account: 'anonymous',
    scopes: ['generate', 'read'],
    limits: config.anonymousLimits,
  };
  return async (c, next) => {
    if (config.authMode === 'none') {
      c.set('caller', anonymous);
      checkScope(c, anonymous);
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
    checkOrigin(c, caller, config);
    checkScope(c, caller);
    return next();
  };
}

function checkOrigin(c: Context<AppEnv>, { origins }: Caller, config: AuthConfig): void {
  const origin = callerOrigin(c.req.raw, config);
  if (origins === undefined) {
    // A key of a server is good from pages that the operator lists, where it is the page of its owner.
    if (origin === undefined || isListed(origin, c.req.url, config)) return;
    if (!config.corsOrigins.includes('*')) return;
    throw new ServiceError('origin_not_allowed', {
      detail: 'This key is not good from pages; use a publishable key or a browser token.',
    });
  }
  if (origin !== undefined && origins.includes(origin)) return;
  throw new ServiceError('origin_not_allowed', {
    detail:
      origin === undefined
        ? 'This key is good only from pages of the origins that it lists.'
        : 'This key is not good from pages of this origin.',
  });
}

function checkScope(c: Context<AppEnv>, { scopes, kind }: Caller): void {
  const { scope: readScope, writeScope } = c.var.route ?? {};
  const isRead = c.req.method === 'GET' || c.req.method === 'HEAD';
  const scope = isRead ? readScope : (writeScope ?? readScope);
  if (typeof scope !== 'string' || scopes.includes(scope)) return;
  // Whoever may manage every account may manage its own.
  if (scope === 'keys' && scopes.includes('admin')) return;
  const who = kind === 'token' ? 'token' : 'key';
  throw new ServiceError('scope_denied', { detail: `The ${who} lacks the scope ${scope}.` });
}
