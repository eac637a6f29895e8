/** `GET /v1/usage`: what the keys of the account have drawn, by day; without the scope `keys`, only the caller's own. */
import type { Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import type { UsageObject } from '#shared/schemas/api-key.ts';
import type { AppEnv, Deps } from '../app-env.ts';

/** Keys that one answer tells of; `key_id` asks for another. */
const KEYS_MAX = 40;
const DAYS = 31;

export function usage({ keyStore }: Pick<Deps, 'keyStore'>): Handler<AppEnv> {
  return async (c) => {
    const { caller } = c.var;
    if (caller.kind === 'token' || caller.kind === 'publishable') {
      throw new ServiceError('scope_denied', { detail: 'Only a secret key sees usage.' });
    }
    const managesKeys = caller.scopes.includes('keys') || caller.scopes.includes('admin');
    const { searchParams } = new URL(c.req.url);
    const wanted = searchParams.get('key_id');
    const days = daysOf(searchParams.get('days'));
    let keys: readonly { readonly id: string; readonly name: string | null }[];
    if (wanted !== null && managesKeys) keys = [await keyStore.show(wanted, caller)];
    else if (managesKeys) keys = (await keyStore.list(caller.account)).slice(0, KEYS_MAX);
    else if (wanted === null || wanted === caller.keyId) keys = [{ id: caller.keyId, name: null }];
    else throw new ServiceError('not_found', { detail: 'There is no such key.' });

    const data = await Promise.all(
      keys.map(async ({ id, name }) => {
        const used = await keyStore.usage(id);
        return {
          object: 'usage' as const,
          key_id: id,
          name,
          quota: used.quota === undefined ? null : used.quota,
          open_streams: used.openStreams,
          days: used.days.slice(-days),
        };
      }),
    );
    const body: UsageObject = { object: 'list', data };
    return c.json(body, 200, { 'Cache-Control': 'no-store' });
  };
}

function daysOf(text: string | null): number {
  if (text === null) return DAYS;
  const days = Number(text);
  if (/^\d{1,2}$/.test(text) && days >= 1 && days <= 92) return days;
  throw new ServiceError('invalid_query', { detail: 'days must be an integer from 1 to 92.' });
}
