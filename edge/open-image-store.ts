/** The store of pictures on the bindings of a Worker or of a Durable Object. */
import type { Config } from './config.ts';
import { DeletedPictures } from './deleted-pictures.ts';
import type { Env } from './env.ts';
import { ImageStore } from './image-store.ts';
import type { Log } from './log.ts';

/** There is one list of deletions. */
export const DELETIONS_NAME = 'all';

export function openImageStore(
  env: Env,
  { config, log }: { readonly config: Config; readonly log: Log },
): ImageStore {
  return new ImageStore({
    bucket: env.IMAGES,
    cache: config.cacheApi ? caches.default : undefined,
    deleted: new DeletedPictures({
      since: async (atMs) => env.DELETIONS.getByName(DELETIONS_NAME).since(atMs),
      now: Date.now,
    }),
    retentionMs: config.retentionMs,
    now: Date.now,
    log,
  });
}
