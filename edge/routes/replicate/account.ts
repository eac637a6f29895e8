/** `/v1/account`, `/v1/hardware`, `/v1/collections` and the secret that webhooks are signed with. */
import type { Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { accountOf } from '../../account-of.ts';
import type { AppEnv, Deps } from '../../app-env.ts';

export function getAccount(): Handler<AppEnv> {
  return (c) => {
    const { account: username } = c.var.caller;
    const body = { type: 'organization', username, name: username, github_url: null };
    return c.json({ ...body, avatar_url: null }, 200, { 'Cache-Control': 'no-store' });
  };
}

export function listHardware(): Handler<AppEnv> {
  return (c) => c.json([{ name: 'Self-hosted', sku: 'self-hosted' }]);
}

export function listCollections(): Handler<AppEnv> {
  return (c) => c.json({ previous: null, next: null, results: [] });
}

export function getCollection(): Handler<AppEnv> {
  return () => {
    throw new ServiceError('not_found', { detail: 'There is no such collection.' });
  };
}

export function getWebhookSecret(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const { account } = await accountOf(c, deps);
    const [key] = await account.webhookSecrets();
    return c.json({ key }, 200, { 'Cache-Control': 'no-store' });
  };
}

/** A new secret; for a day the old one signs too. */
export function rotateWebhookSecret(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const { account } = await accountOf(c, deps);
    const [key] = await account.rotateWebhookSecret();
    return c.json({ key }, 201, { 'Cache-Control': 'no-store' });
  };
}
