/** Everything that is not the API: files of the page, or nothing. */
import type { Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import type { AppEnv, Deps } from '../app-env.ts';

export function page({ assets }: Pick<Deps, 'assets'>): Handler<AppEnv> {
  return async (c) => {
    const response = await assets?.(c.req.raw);
    if (response === undefined || response.status === 404) {
      await response?.body?.cancel();
      throw new ServiceError('not_found');
    }
    // A fetched response has immutable headers, and ours go onto every one.
    return new Response(response.body, response);
  };
}
