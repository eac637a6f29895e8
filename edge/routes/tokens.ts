/** `POST /v1/tokens`: a browser token, made by a server with its secret key for the page it serves. */
import type { Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { TOKEN_TTL_SECONDS_MAX } from '#shared/limits.ts';
import { createTokenRequest } from '#shared/schemas/api-key.ts';
import type { AppEnv, Deps } from '../app-env.ts';
import { parseOwnRequest } from '../parse-request.ts';
import { readJsonBody } from '../read-body.ts';

const GENERATIONS = 10;

export function createToken({
  config,
  keyStore,
  apiKeys,
}: Pick<Deps, 'config' | 'keyStore' | 'apiKeys'>): Handler<AppEnv> {
  return async (c) => {
    const { caller } = c.var;
    if (caller.kind !== 'secret') {
      throw new ServiceError('scope_denied', { detail: 'Only a secret key makes tokens.' });
    }
    const body = await readJsonBody(c.req.raw, {
      bytesMax: c.var.route?.bodyBytesMax ?? 0,
      deadlineMs: config.bodyDeadlineMs,
    });
    const request = parseOwnRequest(createTokenRequest, body);
    const own = (['generate', 'read'] as const).filter((scope) => caller.scopes.includes(scope));
    const scopes = request.scopes ?? own;
    const models = request.allowed_models ?? caller.models;
    const beyond =
      (scopes.some((scope) => !caller.scopes.includes(scope)) && 'scopes') ||
      (models?.some((model) => caller.models?.includes(model) === false) && 'allowed_models') ||
      (request.origins.some((origin) => caller.origins?.includes(origin) === false) && 'origins');
    if (beyond) {
      throw new ServiceError('scope_denied', {
        detail: `${beyond} goes beyond what this key may do itself.`,
        param: beyond,
      });
    }
    const generations = request.generations ?? GENERATIONS;
    const minted = await keyStore.mint(caller.keyId, {
      origins: request.origins,
      scopes,
      generations,
      ...(models !== undefined && { models: [...models] }),
      ttlSeconds: request.expires_in ?? TOKEN_TTL_SECONDS_MAX,
    });
    if (minted === null) throw new ServiceError('invalid_credentials');
    apiKeys.forget(caller.keyId);
    const answer = {
      object: 'browser_token',
      token: minted.token,
      id: minted.jti,
      expires_at: minted.exp,
      origins: request.origins,
      scopes,
      generations,
    };
    return c.json(answer, 201, { 'Cache-Control': 'no-store' });
  };
}
