/** The routes of Replicate's API, in two parts: those that carry their own capability, and those that need a key. */
import type { Hono } from 'hono';
import type { AppEnv, Deps } from '../../app-env.ts';
import type { Drawings } from '../../drawing.ts';
import {
  getAccount,
  getCollection,
  getWebhookSecret,
  listCollections,
  listHardware,
  rotateWebhookSecret,
} from './account.ts';
import {
  createDeploymentPrediction,
  createModelPrediction,
  createPrediction,
} from './create-prediction.ts';
import {
  createDeployment,
  deleteDeployment,
  getDeployment,
  listDeployments,
  updateDeployment,
} from './deployments.ts';
import { createFile, deleteFile, downloadFile, getFile, listFiles } from './files.ts';
import { getModel, getVersion, listVersions, queryModels, searchModels } from './models.ts';
import { predictionStream } from './prediction-stream.ts';
import { cancelPrediction, getPrediction, listPredictions } from './predictions.ts';

/** For clients that send no key: stream tokens and signed downloads. */
export function addOpenReplicateRoutes(app: Hono<AppEnv>, deps: Deps): void {
  app.get('/v1/files/:token{[0-9a-f]+-.+}', predictionStream(deps));
  app.get('/v1/files/:id/download', downloadFile(deps));
}

export function addReplicateRoutes(app: Hono<AppEnv>, deps: Deps, drawings: Drawings): void {
  app.get('/v1/predictions', listPredictions(deps));
  app.post('/v1/predictions', createPrediction(deps, drawings));
  app.get('/v1/predictions/:id', getPrediction(deps));
  app.post('/v1/predictions/:id/cancel', cancelPrediction(deps));

  app.on('QUERY', '/v1/models', queryModels(deps));
  app.get('/v1/search', searchModels(deps));
  app.get('/v1/models/:owner/:name', getModel(deps));
  app.get('/v1/models/:owner/:name/versions', listVersions(deps));
  app.get('/v1/models/:owner/:name/versions/:version', getVersion(deps));
  app.post('/v1/models/:owner/:name/predictions', createModelPrediction(deps, drawings));

  app.get('/v1/deployments', listDeployments(deps));
  app.post('/v1/deployments', createDeployment(deps));
  app.get('/v1/deployments/:owner/:name', getDeployment(deps));
  app.patch('/v1/deployments/:owner/:name', updateDeployment(deps));
  app.delete('/v1/deployments/:owner/:name', deleteDeployment(deps));
  app.post('/v1/deployments/:owner/:name/predictions', createDeploymentPrediction(deps, drawings));

  app.get('/v1/files', listFiles(deps));
  app.post('/v1/files', createFile(deps));
  app.get('/v1/files/:id', getFile(deps));
  app.delete('/v1/files/:id', deleteFile(deps));

  app.get('/v1/account', getAccount());
  app.get('/v1/hardware', listHardware());
  app.get('/v1/collections', listCollections());
  app.get('/v1/collections/:slug', getCollection());
  app.get('/v1/webhooks/default/secret', getWebhookSecret(deps));
  app.post('/v1/webhooks/default/secret', rotateWebhookSecret(deps));
}
