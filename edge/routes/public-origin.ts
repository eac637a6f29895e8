/** Origin of absolute URLs: the configured one, else that of the request. Forwarding headers are not believed. */
import type { Context } from 'hono';
import type { AppEnv, Deps } from '../app-env.ts';

export function publicOrigin(c: Context<AppEnv>, { config }: Pick<Deps, 'config'>): string {
  return config.publicOrigin ?? new URL(c.req.url).origin;
}
