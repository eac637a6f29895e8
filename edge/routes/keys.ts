/** `/v1/keys`: the API keys of the caller's account. Nobody hands on more than they have. */
import type { Context, Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import {
  type CreateKeyRequest,
  createKeyRequest,
  type KeyObject,
  rotateKeyRequest,
} from '#shared/schemas/api-key.ts';
import type { Caller } from '../api-keys.ts';
import type { AppEnv, Deps } from '../app-env.ts';
import type { NewKey } from '../key-store.ts';
import { parseOwnRequest } from '../parse-request.ts';
import { readJsonBody } from '../read-body.ts';
import { rawPath } from '../request-path.ts';

type KeyDeps = Pick<Deps, 'config' | 'keyStore' | 'apiKeys' | 'now'>;

const RATE = 60;
const BURST = 10;
/** Scopes that a key in a page may have. */
const PUBLIC_SCOPES: readonly string[] = ['generate', 'read'];

export function createKey({ config, keyStore, now }: KeyDeps): Handler<AppEnv> {
  return async (c) => {
    const body = await readJsonBody(c.req.raw, {
      bytesMax: c.var.route?.bodyBytesMax ?? 0,
      deadlineMs: config.bodyDeadlineMs,
    });
    const wanted = planKey(parseOwnRequest(createKeyRequest, body), c.var.caller, now());
    return answer(c, await keyStore.create(wanted), 201);
  };
}

export function listKeys({ keyStore }: KeyDeps): Handler<AppEnv> {
  return async (c) => {
    const data = await keyStore.list(c.var.caller.account);
    return c.json({ object: 'list', data }, 200, { 'Cache-Control': 'no-store' });
  };
}

export function retrieveKey({ keyStore }: KeyDeps): Handler<AppEnv> {
  return async (c) => {
    const object = await keyStore.show(idOf(c), c.var.caller);
    return answer(c, object);
  };
}

export function rotateKey({ config, keyStore, apiKeys }: KeyDeps): Handler<AppEnv> {
  return async (c) => {
    // Without a body the old secret ends at once.
    const isEmpty = c.req.header('Content-Type') === undefined;
    const body = isEmpty
      ? {}
      : await readJsonBody(c.req.raw, {
          bytesMax: c.var.route?.bodyBytesMax ?? 0,
          deadlineMs: config.bodyDeadlineMs,
        });
    const { grace_seconds: grace } = parseOwnRequest(rotateKeyRequest, body);
    const rotated = await keyStore.rotate(idOf(c), (grace ?? 0) * 1000, c.var.caller);
    apiKeys.forget(rotated.id);
    return answer(c, rotated);
  };
}

export function revokeKey({ keyStore, apiKeys }: KeyDeps): Handler<AppEnv> {
  return async (c) => {
    const revoked = await keyStore.revoke(idOf(c), c.var.caller);
    apiKeys.forget(revoked.id);
    return answer(c, revoked);
  };
}

/**
 * The key that a request asks for, with its defaults.
 *
 * @throws {ServiceError} `scope_denied` where it is more than the caller has, `missing_parameter`, `invalid_parameter`
 */
function planKey(request: CreateKeyRequest, caller: Caller, nowMs: number): NewKey {
  const isAdmin = caller.scopes.includes('admin');
  const type = request.type ?? 'secret';
  const scopes = request.scopes ?? ['generate', 'read'];
  const account = request.account ?? caller.account;
  const rate = request.rate ?? Math.min(RATE, isAdmin ? RATE : caller.limits.rate);
  const burst = request.burst ?? Math.min(BURST, isAdmin ? BURST : caller.limits.burst);
  const streams = request.streams ?? undefined;
  const origins = request.allowed_origins ?? undefined;
  const models = request.allowed_models ?? (isAdmin ? undefined : caller.models);
  if (type === 'publishable') {
    if (origins === undefined) {
      throw new ServiceError('missing_parameter', {
        detail: 'allowed_origins is required for a publishable key.',
        param: 'allowed_origins',
      });
    }
    const more = scopes.find((scope) => !PUBLIC_SCOPES.includes(scope));
    if (more !== undefined) {
      throw new ServiceError('invalid_parameter', {
        detail: `A publishable key cannot have the scope ${more}.`,
        param: 'scopes',
      });
    }
  }
  if (typeof request.expires_at === 'number' && request.expires_at * 1000 <= nowMs) {
    throw new ServiceError('invalid_parameter', {
      detail: 'expires_at lies in the past.',
      param: 'expires_at',
    });
  }
  if (!isAdmin) {
    const beyond =
      (account !== caller.account && 'account') ||
      (scopes.some((scope) => !caller.scopes.includes(scope)) && 'scopes') ||
      (rate > caller.limits.rate && 'rate') ||
      (burst > caller.limits.burst && 'burst') ||
      (streams !== undefined && streams > (caller.streams ?? streams) && 'streams') ||
      (models?.some((model) => caller.models?.includes(model) === false) && 'allowed_models');
    if (beyond) {
      throw new ServiceError('scope_denied', {
        detail: `${beyond} goes beyond what this key may do itself.`,
        param: beyond,
      });
    }
  }
  return {
    type,
    account,
    scopes,
    rate,
    burst,
    ...(typeof request.name === 'string' && { name: request.name }),
    ...(request.quota !== null && request.quota !== undefined && { quota: request.quota }),
    ...(streams !== undefined && { streams }),
    ...(origins !== undefined && { allowed_origins: origins }),
    ...(models !== undefined && { allowed_models: [...models] }),
    ...(typeof request.expires_at === 'number' && { expires_at: request.expires_at }),
  };
}

function idOf(c: Context<AppEnv>): string {
  return rawPath(c.req.url).split('/')[3] ?? '';
}

function answer(c: Context<AppEnv>, key: KeyObject, status: 200 | 201 = 200): Response {
  return c.json(key, status, { 'Cache-Control': 'no-store' });
}
