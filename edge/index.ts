/** Entry of the Worker: builds the app once per isolate, exports the Durable Objects. */
import type { Hono } from 'hono';
import type { AccountNamespace } from './account-protocol.ts';
import { ApiKeys } from './api-keys.ts';
import { createApp } from './app.ts';
import type { AppEnv, Deps } from './app-env.ts';
import { ConfigError, loadConfig } from './config.ts';
import { Counters } from './counters.ts';
import { createPictureDeleter } from './delete-picture.ts';
import type { Env } from './env.ts';
import { Idempotency } from './idempotency.ts';
import { KeyStore } from './key-store.ts';
import { createLog } from './log.ts';
import { DELETIONS_NAME, openImageStore } from './open-image-store.ts';
import { OpenStreams } from './open-streams.ts';
import { createPromptPolicy } from './prompt-policy.ts';
import { ReadLeases } from './read-leases.ts';
import { loadUpstreams } from './upstreams/create-upstreams.ts';

export { Account } from './account.ts';
export { ApiKey } from './api-key.ts';
export { Deletions } from './deletions.ts';
export { Job } from './job.ts';
export { KeyRing } from './key-ring.ts';
export { Metrics } from './metrics.ts';
export { PictureVariants } from './picture-variants.ts';

let app: Hono<AppEnv> | undefined;

export default {
  async fetch(request, env, ctx): Promise<Response> {
    try {
      app ??= createApp(createDeps(env));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      createLog('error').error('config.refused', {}, error);
      const detail = 'The service is not configured.';
      return Response.json({ title: 'Not configured', status: 503, detail }, { status: 503 });
    }
    return app.fetch(request, env, ctx);
  },
} satisfies ExportedHandler<Env>;

function createDeps(env: Env): Deps {
  const config = loadConfig(env);
  const log = createLog(config.logLevel);
  const { ASSETS: assets } = env;
  const upstreams = loadUpstreams(config);
  const images = openImageStore(env, { config, log });
  return {
    config,
    log,
    apiKeys: new ApiKeys({
      lookUp: async (id) => env.API_KEY.getByName(id).record(),
      now: Date.now,
    }),
    keyStore: new KeyStore({
      keys: env.API_KEY,
      rings: env.KEY_RING,
      configured: config.bootstrapKeys,
    }),
    readLeases: new ReadLeases({
      readsPerMinute: config.readsPerMinute,
      take: async (keyId, limits, want) => env.API_KEY.getByName(keyId).takeReads(limits, want),
      now: Date.now,
    }),
    images,
    variants: env.PICTURE_VARIANTS,
    deletePicture: createPictureDeleter({
      bucket: env.IMAGES,
      images,
      variants: env.PICTURE_VARIANTS,
      record: async (name) => env.DELETIONS.getByName(DELETIONS_NAME).record(name),
      now: Date.now,
    }),
    jobs: env.JOB,
    idempotency: new Idempotency({
      keys: env.API_KEY,
      readPicture: (digest, waitUntil) => images.readImage({ digest }, waitUntil),
    }),
    streams: new OpenStreams(env.API_KEY),
    promptPolicy: createPromptPolicy(config.promptBlocklist),
    isUpstreamReady: () => upstreams.isReady(),
    deliver: async (jobName, delivery) => env.JOB.getByName(jobName).deliver(delivery),
    // The runtime's own type of a stub cannot say `unknown`, which is what inputs of callers are.
    accounts: env.ACCOUNT as unknown as AccountNamespace,
    files: env.IMAGES,
    assets: assets === undefined ? undefined : (request) => assets.fetch(request),
    counters: new Counters({
      send: (series) => env.METRICS.getByName('edge').add(series),
      now: Date.now,
    }),
    metricsText: () => env.METRICS.getByName('edge').text(),
    now: Date.now,
    randomSeed: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
  };
}
