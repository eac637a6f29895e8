/** `GET /v1/models` and `GET /v1/models/{id}`: what can be drawn with. */
import type { Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import type { AppEnv, Deps } from '../app-env.ts';
import { toReplicateModel } from '../model-object.ts';
import { rawPath } from '../request-path.ts';
import { publicOrigin } from './public-origin.ts';

/** Models carry no date of birth; OpenAI's clients want a number. */
const CREATED = 1_750_000_000;

/** One list for two readers: `data` is OpenAI's, `results` is Replicate's. */
export function listModels(deps: Pick<Deps, 'config'>): Handler<AppEnv> {
  const { models } = deps.config;
  const data = models.map(toModelObject);
  return (c) => {
    const origin = publicOrigin(c, deps);
    const results = models.map((model) => toReplicateModel(model, origin));
    const body = { object: 'list', data, results, next: null, previous: null };
    return c.json(body, 200, { 'Cache-Control': 'private, no-cache' });
  };
}

/** The id is one segment: `owner/name` arrives as `owner%2Fname`. */
export function retrieveModel({ config }: Pick<Deps, 'config'>): Handler<AppEnv> {
  return (c) => {
    const segment = rawPath(c.req.url).slice('/v1/models/'.length);
    const model = config.models.find(({ id }) => id === decode(segment));
    if (model === undefined) {
      throw new ServiceError('model_not_found', {
        detail: 'There is no such model. GET /v1/models lists the models.',
        param: 'model',
      });
    }
    return c.json(toModelObject(model), 200, { 'Cache-Control': 'private, no-cache' });
  };
}

/** OpenAI's members, and beside them everything that the bundle says of itself. */
function toModelObject(model: ModelInfo) {
  const [owner = model.id] = model.id.split('/');
  return { object: 'model', created: CREATED, owned_by: owner, ...model };
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    // Bytes that are not UTF-8 name no model.
    return undefined;
  }
}
