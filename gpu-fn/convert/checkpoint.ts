/**
 * A PixArt pipeline on disk in diffusers layout: configurations, tokenizer and the tensors of three components.
 *
 * ```text
 * model_index.json  pixart-edge.json (ours, optional)
 * scheduler/scheduler_config.json
 * tokenizer/spiece.model
 * text_encoder/  config.json  model.safetensors | model.safetensors.index.json + shards
 * transformer/   config.json  diffusion_pytorch_model.safetensors (or an index)
 * vae/           config.json  diffusion_pytorch_model.safetensors (or an index)
 * controlnet/    config.json  diffusion_pytorch_model.safetensors (optional)
 * edge_detector/ model.safetensors (optional)
 * ```
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError } from '../safetensors/errors.ts';
import { openSafetensors, type TensorStore } from '../safetensors/safetensors.ts';
import {
  type ControlConfig,
  controlConfigSchema,
  type EdgeConfig,
  edgeConfigSchema,
  type ModelIndex,
  modelIndexSchema,
  readConfig,
  type SchedulerConfig,
  schedulerConfigSchema,
  type TextEncoderConfig,
  type TransformerConfig,
  textEncoderConfigSchema,
  transformerConfigSchema,
  type VaeConfig,
  vaeConfigSchema,
} from './configs.ts';
import { Weights, type WeightsOptions } from './weights.ts';

export interface Component<Config> {
  readonly config: Config;
  /** The account that must come out even. */
  readonly weights: Weights;
  /** Another account of the same tensors, for graphs that are not kept. */
  account(): Weights;
}

export interface Checkpoint extends AsyncDisposable {
  readonly modelIndex: ModelIndex;
  readonly scheduler: SchedulerConfig;
  /** the bytes of `spiece.model` */
  readonly spieceModel: Uint8Array;
  readonly edge: EdgeConfig;
  readonly textEncoder: Component<TextEncoderConfig>;
  readonly transformer: Component<TransformerConfig>;
  readonly vae: Component<VaeConfig>;
  /** PixArt-δ's control network; absent in most checkpoints */
  readonly control?: { readonly config: ControlConfig; readonly weights: Weights };
  /** HED, which makes the pictures that the control network reads */
  readonly edgeDetector?: { readonly weights: Weights };
}

/** T5's is 0.8 MB; the tokenizer's own reader has the same limit. */
const SPIECE_BYTES_MAX = 16 * 2 ** 20;

/**
 * Opens a checkpoint; no tensor is read yet.
 *
 * @throws {CheckpointError} when a file is missing or malformed, or describes a model that we do not draw
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const modelIndex = await readConfig(join(folder, 'model_index.json'), modelIndexSchema);
  const scheduler = await readConfig(
    join(folder, 'scheduler/scheduler_config.json'),
    schedulerConfigSchema,
  );
  const edge = await readEdgeConfig(join(folder, 'pixart-edge.json'));
  const spieceModel = await readSpieceModel(join(folder, 'tokenizer/spiece.model'));

  await using stack = new AsyncDisposableStack();
  const open = async (name: string, stem: string, options: WeightsOptions) => {
    const path = join(folder, name, `${stem}.safetensors`);
    const store = stack.use<TensorStore>(await openSafetensors(path, `${path}.index.json`));
    return { weights: new Weights(store, options), account: () => new Weights(store, options) };
  };
  const textEncoder = {
    config: await readConfig(join(folder, 'text_encoder/config.json'), textEncoderConfigSchema),
    ...(await open('text_encoder', 'model', TEXT_ENCODER_NAMES)),
  };
  const transformer = {
    config: await readConfig(join(folder, 'transformer/config.json'), transformerConfigSchema),
    ...(await open('transformer', 'diffusion_pytorch_model', TRANSFORMER_NAMES)),
  };
  const vae = {
    config: await readConfig(join(folder, 'vae/config.json'), vaeConfigSchema),
    ...(await open('vae', 'diffusion_pytorch_model', VAE_NAMES)),
  };
  checkAgreement(folder, { textEncoder, transformer, vae });
  const control = (await isThere(join(folder, 'controlnet')))
    ? {
        config: await readConfig(join(folder, 'controlnet/config.json'), controlConfigSchema),
        ...(await open('controlnet', 'diffusion_pytorch_model', {})),
      }
    : undefined;
  if (control !== undefined && control.config.num_layers >= transformer.config.num_layers) {
    throw new CheckpointError(
      `${folder}: controlnet has ${control.config.num_layers} blocks, the transformer ${transformer.config.num_layers}; it needs fewer`,
    );
  }
  const edgeDetector = (await isThere(join(folder, 'edge_detector')))
    ? await open('edge_detector', 'model', {})
    : undefined;

  const opened = stack.move();
  return {
    modelIndex,
    scheduler,
    spieceModel,
    edge,
    textEncoder,
    transformer,
    vae,
    ...(control && { control }),
    ...(edgeDetector && { edgeDetector }),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

const EMBEDDING = 'shared.weight';
const EMBEDDING_COPY = 'encoder.embed_tokens.weight';

export const TEXT_ENCODER_NAMES: WeightsOptions = {
  legacyNames: (name) => (name === EMBEDDING ? [EMBEDDING_COPY] : []),
  duplicates: new Map([[EMBEDDING_COPY, EMBEDDING]]),
};

export const TRANSFORMER_NAMES: WeightsOptions = {
  unneeded: new Map([['pos_embed.pos_embed', 'computed for each size']]),
};

const LEGACY_ATTENTION = new Map([
  ['to_q', 'query'],
  ['to_k', 'key'],
  ['to_v', 'value'],
  ['to_out.0', 'proj_attn'],
]);

export const VAE_NAMES: WeightsOptions = {
  legacyNames(name) {
    const match = /^(.*\.attentions\.0)\.(to_q|to_k|to_v|to_out\.0)\.(weight|bias)$/.exec(name);
    return match === null ? [] : [`${match[1]}.${LEGACY_ATTENTION.get(match[2]!)}.${match[3]}`];
  },
};

async function readEdgeConfig(path: string): Promise<EdgeConfig> {
  return (await isThere(path)) ? await readConfig(path, edgeConfigSchema) : {};
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

async function readSpieceModel(path: string): Promise<Uint8Array> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new CheckpointError(`${path} cannot be read`, { cause });
  }
  if (bytes.length > SPIECE_BYTES_MAX) {
    throw new CheckpointError(`${path}: ${bytes.length} bytes, limit ${SPIECE_BYTES_MAX}`);
  }
  return bytes;
}

function checkAgreement(
  folder: string,
  { textEncoder, transformer, vae }: Pick<Checkpoint, 'textEncoder' | 'transformer' | 'vae'>,
): void {
  const { caption_channels: captions, in_channels: latents } = transformer.config;
  if (captions !== textEncoder.config.d_model) {
    throw new CheckpointError(
      `${folder}: the transformer's caption_channels ${captions} are not the text encoder's d_model ${textEncoder.config.d_model}`,
    );
  }
  if (latents !== vae.config.latent_channels) {
    throw new CheckpointError(
      `${folder}: the transformer's in_channels ${latents} are not the VAE's latent_channels ${vae.config.latent_channels}`,
    );
  }
}
