/** Models and versions as Replicate's clients see them. */
import type { ModelInfo } from '#shared/schemas/model.ts';
import { cogSchema } from './cog-schema.ts';

/** Bundles carry no date of birth, and clients want one. */
const CREATED_AT = '2025-06-15T14:53:20.000Z';
const COG_VERSION = '0.22.0';

export function toReplicateModel(model: ModelInfo, origin: string) {
  const [owner = model.id, name = model.id] = model.id.split('/');
  return {
    url: `${origin}/v1/models/${owner}/${name}`,
    owner,
    name,
    description: `Text to image, ${model.native_size.join('×')} pixels, ${model.license}.`,
    visibility: 'public',
    is_official: false,
    github_url: null,
    paper_url: null,
    license_url: null,
    run_count: 0,
    cover_image_url: null,
    default_example: null,
    latest_version: toReplicateVersion(model),
  };
}

export function toReplicateVersion(model: ModelInfo) {
  return {
    id: model.revision,
    created_at: CREATED_AT,
    cog_version: COG_VERSION,
    openapi_schema: cogSchema(model),
  };
}
