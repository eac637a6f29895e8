/**
 * Writes a whole PixArt pipeline checkpoint small enough for tests: diffusers layout, hash-filled weights, the
 * same kinds of files and dtypes as the shipped model. It draws noise-like pictures, quickly and always the same.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type TensorShapes,
  textEncoderShapes,
  transformerShapes,
  vaeShapes,
} from './checkpoint-shapes.ts';
import { hashWeight } from './hash-tensor.ts';
import { type TensorToWrite, toFloat16Bits, writeSafetensors } from './safetensors-file.ts';
import { encodeSpieceModel, smallVocabulary } from './spiece-model.ts';

/** `float32`: all tensors F32. `shipped`: I8 with row scales where the fan-in is ≥ 64, else F16. */
export type CheckpointDtypes = 'float32' | 'shipped';

export interface TinyCheckpointOptions {
  readonly dtypes?: CheckpointDtypes;
  /** Configuration members to replace, by component. */
  readonly textEncoder?: Readonly<Record<string, unknown>>;
  readonly transformer?: Readonly<Record<string, unknown>>;
  readonly vae?: Readonly<Record<string, unknown>>;
  readonly scheduler?: Readonly<Record<string, unknown>>;
  /** Words of the vocabulary besides single characters. */
  readonly words?: readonly string[];
  /** Members of `pixart-edge.json` to replace; `null` writes no such file. */
  readonly edge?: Readonly<Record<string, unknown>> | null;
}

export const TINY_WORDS = [
  'a',
  'red',
  'green',
  'blue',
  'apple',
  'cat',
  'dog',
  'car',
  'cactus',
  'happy',
  'in',
  'the',
  'desert',
  'on',
  'background',
  'transparent',
  'white',
  'style',
  'flat',
] as const;

/** 64 × 64 pixels: latents 8 × 8, 16 tokens. */
const NATIVE_SIZE = 64;
const SCALED_FAN_IN_MIN = 64;

export function tinyConfigs() {
  const textEncoder = {
    architectures: ['T5EncoderModel'],
    model_type: 't5',
    vocab_size: 128,
    d_model: 64,
    d_kv: 16,
    d_ff: 128,
    num_layers: 2,
    num_heads: 4,
    feed_forward_proj: 'gated-gelu',
    is_gated_act: true,
    dense_act_fn: 'gelu_new',
    layer_norm_epsilon: 1e-6,
    relative_attention_num_buckets: 32,
    relative_attention_max_distance: 128,
    pad_token_id: 0,
    eos_token_id: 1,
    tie_word_embeddings: false,
    dropout_rate: 0.1,
    torch_dtype: 'float32',
  };
  const transformer = {
    _class_name: 'PixArtTransformer2DModel',
    activation_fn: 'gelu-approximate',
    attention_bias: true,
    attention_head_dim: 16,
    caption_channels: 64,
    cross_attention_dim: 64,
    in_channels: 4,
    interpolation_scale: 1,
    norm_elementwise_affine: false,
    norm_eps: 1e-6,
    norm_num_groups: 32,
    norm_type: 'ada_norm_single',
    num_attention_heads: 4,
    num_embeds_ada_norm: 1000,
    num_layers: 2,
    out_channels: 4,
    patch_size: 2,
    sample_size: NATIVE_SIZE / 8,
    use_additional_conditions: false,
  };
  const vae = {
    _class_name: 'AutoencoderKL',
    act_fn: 'silu',
    block_out_channels: [16, 16, 32, 64],
    down_block_types: Array<string>(4).fill('DownEncoderBlock2D'),
    up_block_types: Array<string>(4).fill('UpDecoderBlock2D'),
    in_channels: 4,
    out_channels: 4,
    latent_channels: 4,
    layers_per_block: 1,
    norm_num_groups: 2,
    sample_size: NATIVE_SIZE,
    scaling_factor: 1,
  };
  const scheduler = {
    _class_name: 'LCMScheduler',
    beta_end: 0.02,
    beta_schedule: 'linear',
    beta_start: 0.0001,
    clip_sample: false,
    clip_sample_range: 1,
    dynamic_thresholding_ratio: 0.995,
    num_train_timesteps: 1000,
    original_inference_steps: 50,
    prediction_type: 'v_prediction',
    rescale_betas_zero_snr: false,
    sample_max_value: 1,
    set_alpha_to_one: true,
    steps_offset: 0,
    thresholding: false,
    timestep_scaling: 10,
    timestep_spacing: 'leading',
    trained_betas: null,
  };
  const edge = {
    id: 'pixart-edge/tiny',
    license: 'Apache-2.0',
    max_sequence_length: 64,
    clean_caption: false,
    native_size: NATIVE_SIZE,
    sizes: [[NATIVE_SIZE, NATIVE_SIZE]],
    alpha: true,
    samplers: { lcm: { steps: { min: 1, max: 8, default: 4 } } },
    default_sampler: 'lcm',
    guidance: { min: 0, max: 0, default: 0 },
    latent_rgb_factors: [
      [0.2, 0.1, 0],
      [0, 0.2, 0.1],
      [0.1, 0, 0.2],
      [0.1, 0.1, 0.1],
    ],
    latent_rgb_bias: [0, 0, 0],
    vocabulary: {
      concepts: ['apple', 'cat', 'dog', 'car', 'cactus'],
      styles: ['flat'],
      colours: ['red', 'green', 'blue'],
      backdrops: ['white', 'transparent'],
    },
  };
  return { textEncoder, transformer, vae, scheduler, edge };
}

/** Writes the checkpoint into `folder`, which is created, and returns `folder`. */
export function writeTinyCheckpoint(folder: string, options: TinyCheckpointOptions = {}): string {
  const configs = tinyConfigs();
  const dtypes = options.dtypes ?? 'shipped';
  const textEncoder = { ...configs.textEncoder, ...options.textEncoder };
  const transformer = { ...configs.transformer, ...options.transformer };
  const vae = { ...configs.vae, ...options.vae };

  writeJson(join(folder, 'model_index.json'), {
    _class_name: 'PixArtAlphaPipeline',
    _diffusers_version: '0.30.0',
    scheduler: ['diffusers', 'LCMScheduler'],
    text_encoder: ['transformers', 'T5EncoderModel'],
    tokenizer: ['transformers', 'T5Tokenizer'],
    transformer: ['diffusers', transformer._class_name],
    vae: ['diffusers', 'AutoencoderKL'],
  });
  writeJson(join(folder, 'scheduler/scheduler_config.json'), {
    ...configs.scheduler,
    ...options.scheduler,
  });
  writeJson(join(folder, 'tokenizer/tokenizer_config.json'), {
    tokenizer_class: 'T5Tokenizer',
    extra_ids: 0,
  });
  writeJson(join(folder, 'tokenizer/special_tokens_map.json'), {
    eos_token: '</s>',
    pad_token: '<pad>',
    unk_token: '<unk>',
  });
  writeFileSync(
    join(folder, 'tokenizer/spiece.model'),
    encodeSpieceModel(smallVocabulary(options.words ?? TINY_WORDS)),
  );

  writeJson(join(folder, 'text_encoder/config.json'), textEncoder);
  writeTensors(
    join(folder, 'text_encoder/model.safetensors'),
    textEncoderShapes(textEncoder),
    dtypes,
  );
  writeJson(join(folder, 'transformer/config.json'), transformer);
  writeTensors(
    join(folder, 'transformer/diffusion_pytorch_model.safetensors'),
    transformerShapes(transformer),
    dtypes,
  );
  writeJson(join(folder, 'vae/config.json'), vae);
  writeTensors(join(folder, 'vae/diffusion_pytorch_model.safetensors'), vaeShapes(vae), dtypes);

  if (options.edge !== null) {
    writeJson(join(folder, 'pixart-edge.json'), { ...configs.edge, ...options.edge });
  }
  return folder;
}

/** Hash-filled tensors of the given shapes in the given dtypes, as a safetensors file. */
export function writeTensors(path: string, shapes: TensorShapes, dtypes: CheckpointDtypes): void {
  mkdirSync(join(path, '..'), { recursive: true });
  const tensors: Record<string, TensorToWrite> = {};
  for (const [name, shape] of shapes) Object.assign(tensors, toWrite(name, shape, dtypes));
  writeSafetensors(path, tensors);
}

function toWrite(
  name: string,
  shape: readonly number[],
  dtypes: CheckpointDtypes,
): Record<string, TensorToWrite> {
  const data = hashWeight(name, shape);
  if (dtypes === 'float32') return { [name]: { dtype: 'F32', shape, data } };
  const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
  if (!name.endsWith('.weight') || shape.length < 2 || fanIn < SCALED_FAN_IN_MIN) {
    return { [name]: { dtype: 'F16', shape, data: toFloat16Bits(data) } };
  }
  const rows = shape[0]!;
  const quantized = new Int8Array(data.length);
  const scale = new Float32Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const values = data.subarray(row * fanIn, (row + 1) * fanIn);
    scale[row] = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0) / 127 || 1;
    for (const [i, value] of values.entries())
      quantized[row * fanIn + i] = Math.round(value / scale[row]!);
  }
  return {
    [name]: { dtype: 'I8', shape, data: quantized },
    [`${name}.scale`]: { dtype: 'F32', shape: [rows], data: scale },
  };
}

function writeJson(path: string, value: unknown): void {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}
