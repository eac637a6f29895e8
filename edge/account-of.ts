/** The object of the account that calls. */
import type { Context } from 'hono';
import { type AccountStub, accountName } from './account-protocol.ts';
import type { AppEnv, Deps } from './app-env.ts';

export async function accountOf(
  c: Context<AppEnv>,
  { accounts }: Pick<Deps, 'accounts'>,
): Promise<{ owner: string; account: AccountStub }> {
  const owner = await accountName(c.var.caller.account);
  return { owner, account: accounts.getByName(owner) };
}
