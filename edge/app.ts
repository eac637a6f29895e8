/**
 * The app: what happens to a request, in order. Cheapest refusal first.
 *
 *     request id → path, method, size → origin → credentials → read lease → route
 *
 * and inside the generations route: parse and validate → key → cache → job owner.
 */
import { Hono } from 'hono';
import type { AppEnv, Deps } from './app-env.ts';
import { Drawings } from './drawing.ts';
import { acceptSignedUrl } from './middleware/accept-signed-url.ts';
import { authenticate } from './middleware/authenticate.ts';
import { checkTarget } from './middleware/check-target.ts';
import { cors } from './middleware/cors.ts';
import { errorHandler } from './middleware/error-handler.ts';
import { readLease } from './middleware/read-lease.ts';
import { requestId } from './middleware/request-id.ts';
import { rawPath } from './request-path.ts';
import { deleteImage } from './routes/delete-image.ts';
import { falProxy } from './routes/fal/proxy.ts';
import { generations } from './routes/generations.ts';
import { healthz, readyz } from './routes/health.ts';
import { images } from './routes/images.ts';
import { createKey, listKeys, retrieveKey, revokeKey, rotateKey } from './routes/keys.ts';
import { metrics } from './routes/metrics.ts';
import { listModels, retrieveModel } from './routes/models.ts';
import { openapi } from './routes/openapi.ts';
import { page } from './routes/page.ts';
import { promptImages } from './routes/prompt-images.ts';
import { addOpenReplicateRoutes, addReplicateRoutes } from './routes/replicate/routes.ts';
import { replicateHook } from './routes/replicate-hook.ts';
import { createToken } from './routes/tokens.ts';
import { usage } from './routes/usage.ts';

export function createApp(deps: Deps): Hono<AppEnv> {
  const { config, log } = deps;
  const drawings = new Drawings(deps);
  // Routes match the path as it arrived: decoding it here and normalising it there would make two of one.
  const app = new Hono<AppEnv>({ getPath: (request) => rawPath(request.url) });
  app.onError(errorHandler(log));
  app.use(requestId(deps));
  app.use(cors(config));
  app.use(checkTarget());

  app.get('/healthz', healthz());
  app.get('/readyz', readyz(deps));
  app.get('/openapi.json', openapi(deps));
  app.get('/i/:name', images(deps));
  app.post('/hooks/replicate', replicateHook(deps));

  const credentials = authenticate(config, deps.apiKeys);
  const guard = [credentials, readLease(deps.readLeases)] as const;
  app.use('/metrics', ...guard);
  app.get('/metrics', metrics(deps));

  addOpenReplicateRoutes(app, deps);
  const signedOr = acceptSignedUrl(config, { now: deps.now, otherwise: credentials });
  app.use('/prompt/*', signedOr, readLease(deps.readLeases));
  app.get('/prompt/:text', promptImages(drawings));

  app.use('/v1/*', ...guard);
  app.post('/v1/images/generations', generations(deps, drawings));
  app.delete('/v1/images/:digest', deleteImage(deps));
  app.get('/v1/models', listModels(deps));
  app.get('/v1/models/:id', retrieveModel(deps));
  app.post('/v1/keys', createKey(deps));
  app.get('/v1/keys', listKeys(deps));
  app.get('/v1/keys/:id', retrieveKey(deps));
  app.delete('/v1/keys/:id', revokeKey(deps));
  app.post('/v1/keys/:id/rotate', rotateKey(deps));
  app.post('/v1/tokens', createToken(deps));
  app.get('/v1/usage', usage(deps));
  addReplicateRoutes(app, deps, drawings);

  app.use('/fal/*', ...guard);
  app.all('/fal/proxy', falProxy(deps, drawings));

  app.get('*', page(deps));
  return app;
}
