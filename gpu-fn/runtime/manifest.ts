/**
 * `manifest.json` of a bundle: what the files are, and everything about the model that serving code reads.
 *
 * The revision is the SHA-256 of the manifest itself without its revision, in canonical form; since the manifest
 * holds the digest of every file, the revision names all bytes of the bundle.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { ADAPTER_ID_PATTERN, modelInfo } from '#shared/schemas/model.ts';

export const BUNDLE_FORMAT = 1;
export const MANIFEST_FILE = 'manifest.json';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/** Plain names: a bundle is one flat folder. */
const fileName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/);
const size = z.int().min(1);

export const graphName = z.enum([
  'text_encoder',
  'prompt',
  'condition',
  'denoise',
  'prompt_lora',
  'condition_lora',
  'denoise_lora',
  'control_prompt',
  'control',
  'denoise_control',
  'edge_detector',
  'vae_decoder',
  'vae_encoder',
]);
export type GraphName = z.infer<typeof graphName>;

export const bundleTarget = z.enum(['cpu', 'cuda']);
export type BundleTarget = z.infer<typeof bundleTarget>;

/** `fp16` exists for CUDA only. */
export const bundlePrecision = z.enum(['int8', 'fp16', 'fp32']);
export type BundlePrecision = z.infer<typeof bundlePrecision>;

const graph = z.object({
  model: fileName,
  /** external data beside the model; absent when a graph has no weights */
  data: fileName.optional(),
});

export const manifestSchema = z.object({
  format: z.literal(BUNDLE_FORMAT),
  id: z.string(),
  revision: sha256,
  target: bundleTarget,
  precision: bundlePrecision,
  numeric_class: z.string(),
  license: z.string(),
  files: z.record(fileName, z.object({ bytes: z.int().min(0), sha256 })),
  graphs: z.partialRecord(graphName, graph),
  tokenizer: fileName,
  text: z.object({
    max_sequence_length: size,
    /** width of the text embeddings */
    channels: size,
    vocab_size: size,
    clean_caption: z.boolean(),
  }),
  transformer: z.object({
    latent_channels: size,
    /** twice the latent channels when the checkpoint has a learned variance; absent in older bundles */
    out_channels: size.optional(),
    width: size,
    num_layers: size,
    patch_size: size,
    /** latent side of the native size */
    sample_size: size,
    interpolation_scale: z.number().positive(),
    use_additional_conditions: z.boolean(),
  }),
  vae: z.object({
    /** of pictures; 4 = RGB flattened on white, and alpha */
    channels: z.union([z.literal(3), z.literal(4)]),
    latent_channels: size,
    /** image pixels per latent cell along one side */
    scale_factor: size,
    scaling_factor: z.number().positive(),
  }),
  /** `scheduler_config.json` as the checkpoint has it; numbers that JSON cannot hold are null */
  scheduler: z.looseObject({ _class_name: z.string() }),
  /** Latents → RGB by one matrix, for step previews; absent when the checkpoint has none. */
  preview: z
    .object({
      /** `[latent channel][r, g, b]` */
      latent_rgb_factors: z.array(z.tuple([z.number(), z.number(), z.number()])),
      latent_rgb_bias: z.tuple([z.number(), z.number(), z.number()]),
    })
    .optional(),
  /** Adapters inside the bundle, by id: normalised safetensors files. */
  adapters: z.record(z.string().regex(ADAPTER_ID_PATTERN), fileName).optional(),
  info: modelInfo,
});
export type Manifest = z.infer<typeof manifestSchema>;

/** The manifest with the revision that its content gives it. */
export function withRevision(manifest: Manifest): Manifest {
  const revision = revisionOf(manifest);
  return { ...manifest, revision, info: { ...manifest.info, revision } };
}

/** @returns 64 lower-case hexadecimal digits */
export function revisionOf(manifest: Manifest): string {
  const { revision: _, info, ...rest } = manifest;
  const { revision: __, ...infoRest } = info;
  return createHash('sha256')
    .update(canonicalJson({ ...rest, info: infoRest }))
    .digest('hex');
}

/** JSON with the keys of every object sorted by code unit. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    member !== null && typeof member === 'object' && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
