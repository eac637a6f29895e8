/** `DELETE /v1/images/{digest}`: the picture is gone, and its URL says so from then on. */
import type { Handler } from 'hono';
import type { AppEnv, Deps } from '../app-env.ts';
import { rawPath } from '../request-path.ts';

export function deleteImage({ deletePicture }: Pick<Deps, 'deletePicture'>): Handler<AppEnv> {
  return async (c) => {
    const { caller } = c.var;
    const digest = rawPath(c.req.url).slice('/v1/images/'.length);
    const isAdmin = caller.scopes.includes('admin');
    await deletePicture(digest, { account: caller.account, isAdmin });
    const body = { id: digest, object: 'image.deleted', deleted: true };
    return c.json(body, 200, { 'Cache-Control': 'no-store' });
  };
}
