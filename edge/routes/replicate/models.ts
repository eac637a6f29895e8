/** `/v1/models/{owner}/{name}…`, `QUERY /v1/models` and `/v1/search`: what can be drawn with, as Replicate says it. */
import type { Context, Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { decodeUtf8 } from '#shared/json.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import type { AppEnv, Deps } from '../../app-env.ts';
import { toReplicateModel, toReplicateVersion } from '../../model-object.ts';
import { findModel } from '../../model-versions.ts';
import { readBytes } from '../../read-body.ts';
import { publicOrigin } from '../public-origin.ts';

const PRIVATE = { 'Cache-Control': 'private, no-cache' };

export function getModel(deps: Deps): Handler<AppEnv> {
  return (c) => c.json(toReplicateModel(modelOf(c, deps), publicOrigin(c, deps)), 200, PRIVATE);
}

export function listVersions(deps: Deps): Handler<AppEnv> {
  return (c) => {
    const results = [toReplicateVersion(modelOf(c, deps))];
    return c.json({ previous: null, next: null, results }, 200, PRIVATE);
  };
}

export function getVersion(deps: Deps): Handler<AppEnv> {
  return (c) => {
    const model = modelOf(c, deps);
    if (c.req.param('version') !== model.revision) {
      throw new ServiceError('not_found', { detail: 'There is no such version.' });
    }
    return c.json(toReplicateVersion(model), 200, PRIVATE);
  };
}

/** `QUERY /v1/models` with the words as a plain text. */
export function queryModels(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const bytes = await readBytes(c.req.raw, {
      bytesMax: c.var.route?.bodyBytesMax ?? 0,
      deadlineMs: deps.config.bodyDeadlineMs,
    });
    // The client sends its text as a JSON string.
    const words = decodeUtf8(bytes).replace(/^"|"$/g, '');
    const results = search(deps, words).map((model) =>
      toReplicateModel(model, publicOrigin(c, deps)),
    );
    return c.json({ previous: null, next: null, results }, 200, PRIVATE);
  };
}

export function searchModels(deps: Deps): Handler<AppEnv> {
  return (c) => {
    const query = c.req.query('query') ?? '';
    const models = search(deps, query).map((model) => ({
      model: toReplicateModel(model, publicOrigin(c, deps)),
      metadata: { score: 1 },
    }));
    return c.json({ query, models, collections: [], pages: [] }, 200, PRIVATE);
  };
}

function search({ config }: Deps, text: string): ModelInfo[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return config.models.filter(({ id }) => words.every((word) => id.toLowerCase().includes(word)));
}

function modelOf(c: Context<AppEnv>, { config }: Deps): ModelInfo {
  return findModel(config.models, `${c.req.param('owner')}/${c.req.param('name')}`);
}
