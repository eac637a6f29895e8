/**
 * The configurations of a checkpoint in diffusers layout, parsed from JSON that nobody has checked.
 *
 * Members that a graph depends on are required, or have the default that diffusers gives them; values that our
 * graphs do not draw are refused by name. Everything else is ignored.
 *
 * @see https://github.com/huggingface/diffusers/blob/main/src/diffusers/models/transformers/pixart_transformer_2d.py
 */
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { STYLE_NAMES } from '#shared/styles.ts';
import { CheckpointError } from '../safetensors/errors.ts';

const count = z
  .int()
  .min(1)
  .max(1 << 20);
const epsilon = z.number().positive().max(0.1);

const FULL_TEXT = { PixArtAlphaPipeline: 120, PixArtSigmaPipeline: 300 } as const;

export const modelIndexSchema = z.object({
  _class_name: z.enum(['PixArtAlphaPipeline', 'PixArtSigmaPipeline']),
});
export type ModelIndex = z.infer<typeof modelIndexSchema>;

/** Text tokens of a pipeline that does not say otherwise. */
export function defaultSequenceLength(index: ModelIndex): number {
  return FULL_TEXT[index._class_name];
}

export const textEncoderConfigSchema = z.object({
  vocab_size: count,
  d_model: count,
  d_kv: count,
  d_ff: count,
  num_layers: count,
  num_heads: count,
  feed_forward_proj: z.literal('gated-gelu'),
  layer_norm_epsilon: epsilon.default(1e-6),
  relative_attention_num_buckets: z.int().min(4).multipleOf(4),
  relative_attention_max_distance: count.default(128),
});
export type TextEncoderConfig = z.infer<typeof textEncoderConfigSchema>;

export const transformerConfigSchema = z
  .object({
    _class_name: z.enum(['PixArtTransformer2DModel', 'Transformer2DModel']),
    norm_type: z.literal('ada_norm_single').default('ada_norm_single'),
    activation_fn: z.literal('gelu-approximate').default('gelu-approximate'),
    attention_bias: z.literal(true).default(true),
    norm_elementwise_affine: z.literal(false).default(false),
    num_attention_heads: count,
    attention_head_dim: count,
    num_layers: count,
    in_channels: count,
    out_channels: count.nullish(),
    caption_channels: count,
    sample_size: count,
    patch_size: count,
    norm_eps: epsilon.default(1e-6),
    interpolation_scale: z.number().positive().nullish(),
    use_additional_conditions: z.boolean().nullish(),
  })
  .transform((config) => ({
    ...config,
    width: config.num_attention_heads * config.attention_head_dim,
    out_channels: config.out_channels ?? config.in_channels,
    interpolation_scale:
      config.interpolation_scale ?? Math.max(Math.floor(config.sample_size / 64), 1),
    use_additional_conditions: config.use_additional_conditions ?? config.sample_size === 128,
  }))
  .refine(({ in_channels: a, out_channels: b }) => b === a || b === 2 * a, {
    error: 'out_channels must be in_channels, or twice as many with a learned variance',
    path: ['out_channels'],
  })
  .refine(({ width }) => width % 4 === 0, {
    error: 'the width (heads × head size) must be a multiple of 4',
    path: ['attention_head_dim'],
  })
  .refine(({ width, use_additional_conditions: used }) => !used || width % 3 === 0, {
    error: 'the width must be a multiple of 3 with micro-conditions',
    path: ['attention_head_dim'],
  });
export type TransformerConfig = z.infer<typeof transformerConfigSchema>;

/** The control network beside the transformer: copies of its first blocks. */
export const controlConfigSchema = z.object({ num_layers: z.int().min(1).max(256).default(13) });
export type ControlConfig = z.infer<typeof controlConfigSchema>;

export const vaeConfigSchema = z
  .object({
    _class_name: z.literal('AutoencoderKL'),
    act_fn: z.literal('silu').default('silu'),
    in_channels: z.union([z.literal(3), z.literal(4)]),
    out_channels: z.union([z.literal(3), z.literal(4)]),
    latent_channels: count,
    block_out_channels: z.array(count).min(1).max(8),
    layers_per_block: count,
    norm_num_groups: count.default(32),
    scaling_factor: z.number().positive().default(0.18215),
    shift_factor: z.literal(0).nullish(),
    mid_block_add_attention: z.boolean().default(true),
    use_quant_conv: z.boolean().default(true),
    use_post_quant_conv: z.boolean().default(true),
  })
  .refine((config) => config.block_out_channels.every((c) => c % config.norm_num_groups === 0), {
    error: 'norm_num_groups must divide every entry',
    path: ['block_out_channels'],
  });
export type VaeConfig = z.infer<typeof vaeConfigSchema>;

export const schedulerConfigSchema = z.looseObject({
  _class_name: z.string(),
  num_train_timesteps: count,
  prediction_type: z.enum(['epsilon', 'v_prediction', 'sample']),
});
export type SchedulerConfig = z.infer<typeof schedulerConfigSchema>;

const side = z
  .int()
  .min(1)
  .max(1 << 14);
const steps = z.int().min(1).max(1000);

/** `pixart-edge.json`: what diffusers has no place for. Every member is optional; published checkpoints have none. */
export const edgeConfigSchema = z.object({
  id: z.string().optional(),
  license: z.string().optional(),
  max_sequence_length: z.int().min(1).max(1024).optional(),
  clean_caption: z.boolean().optional(),
  /** pixels, a square side or `[width, height]` */
  native_size: z.union([side, z.tuple([side, side])]).optional(),
  sizes: z.union([z.array(z.tuple([side, side])).min(1), z.literal('bins')]).optional(),
  alpha: z.boolean().optional(),
  samplers: z
    .record(
      z.string(),
      z.looseObject({ steps: z.object({ min: steps, max: steps, default: steps }) }),
    )
    .optional(),
  default_sampler: z.string().optional(),
  guidance: z.object({ min: z.number(), max: z.number(), default: z.number() }).optional(),
  latent_rgb_factors: z.array(z.tuple([z.number(), z.number(), z.number()])).optional(),
  latent_rgb_bias: z.tuple([z.number(), z.number(), z.number()]).optional(),
  /** names of the styles of `shared/styles.ts` that the model knows */
  styles: z.array(z.enum(STYLE_NAMES)).optional(),
  vocabulary: z.record(z.string(), z.array(z.string())).optional(),
});
export type EdgeConfig = z.infer<typeof edgeConfigSchema>;

/** Far above any published configuration. */
export const CONFIG_BYTES_MAX = 4 * 2 ** 20;

/**
 * Reads one configuration file.
 *
 * @throws {CheckpointError} naming the file and the key
 */
export async function readConfig<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new CheckpointError(`${path} cannot be read`, { cause });
  }
  if (bytes.length > CONFIG_BYTES_MAX) {
    throw new CheckpointError(`${path}: ${bytes.length} bytes, limit ${CONFIG_BYTES_MAX}`);
  }
  const parsed = schema.safeParse(parsePythonJson(bytes.toString('utf8'), path));
  if (!parsed.success) {
    const issues = parsed.error.issues.map(
      ({ path: key, message }) => `${key.join('.')}: ${message}`,
    );
    throw new CheckpointError(`${path}: ${issues.join('; ')}`);
  }
  return parsed.data;
}

/**
 * JSON as Python writes it, with the bare words `Infinity`, `-Infinity` and `NaN`: published scheduler
 * configurations hold `-Infinity`. NaN becomes null.
 */
export function parsePythonJson(text: string, path: string): unknown {
  const standard = text.replace(
    /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g,
    (token) => ({ Infinity: '1e999', '-Infinity': '-1e999', NaN: 'null' })[token] ?? token,
  );
  try {
    return JSON.parse(standard);
  } catch (cause) {
    throw new CheckpointError(`${path}: malformed JSON`, { cause });
  }
}
