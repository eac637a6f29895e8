/** Models and their versions under the names that Replicate's clients use; a version is the revision of a bundle. */
import { ServiceError } from '#shared/errors.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';

/** @throws {ServiceError} `model_not_found` */
export function findModel(models: readonly ModelInfo[], id: string): ModelInfo {
  const model = models.find((known) => known.id === id);
  if (model !== undefined) return model;
  throw new ServiceError('model_not_found', {
    detail: `The model ${id} is not known. GET /v1/models lists the models.`,
  });
}

/**
 * The model of `owner/name`, `owner/name:version` or a version alone.
 *
 * @throws {ServiceError} `model_not_found`, or `invalid_parameter` for a version that is not drawn with any more
 */
export function findVersion(models: readonly ModelInfo[], reference: string): ModelInfo {
  const [name = '', version] = reference.includes('/') ? reference.split(':') : ['', reference];
  const model =
    name === '' ? models.find(({ revision }) => revision === version) : findModel(models, name);
  if (model !== undefined && (version === undefined || model.revision === version)) return model;
  throw new ServiceError('invalid_parameter', {
    param: 'version',
    detail: 'version is none that is served now; a model’s latest_version says which is.',
  });
}
