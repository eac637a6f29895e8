/**
 * Checkpoints of PixArt's own code → folders as diffusers names them.
 *
 * | file                                   | becomes                                                     |
 * |----------------------------------------|-------------------------------------------------------------|
 * | `PixArt-XL-2-….pth`                    | `transformer/`                                              |
 * | `PixArt-XL-2-…-ControlNet.pth`         | `transformer/` (from `base_model.`) and `controlnet/`        |
 * | `ControlNetHED.pth`                    | `edge_detector/`                                            |
 *
 * Text encoder, tokenizer, VAE and scheduler come from a folder in diffusers layout beside them.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError } from '../../safetensors/errors.ts';
import { originalBlockParts, originalModuleParts } from '../../safetensors/original-names.ts';
import type { TensorEntry, TensorStore } from '../../safetensors/safetensors.ts';
import { type TensorToWrite, writeSafetensorsFile } from '../../safetensors/write-safetensors.ts';
import { openPth } from './open-pth.ts';

export interface ConvertPthOptions {
  readonly pth: string;
  /** folder of the checkpoint; the components that the file holds must not be there yet */
  readonly out: string;
  /** Attention heads, which no tensor tells. Default 16, as all published models have. */
  readonly heads?: number | undefined;
  /** Latent side of the native size; default what the stored position embedding says. */
  readonly sampleSize?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((bytesDone: number, bytesTotal: number) => void) | undefined;
}

export type PthComponent = 'transformer' | 'controlnet' | 'edge_detector';

interface Component {
  readonly name: PthComponent;
  readonly file: string;
  readonly config: Readonly<Record<string, unknown>> | undefined;
  readonly tensors: readonly TensorToWrite[];
}

const BASE = 'base_model.';
const CONTROL = 'controlnet.';
const PUBLISHED_HEADS = 16;
const CHUNK_BYTES = 4 * 2 ** 20;
/** Buffers of training: positions are computed, the null caption is T5's of the empty text. */
const DROPPED: readonly string[] = ['pos_embed', 'y_embedder.y_embedding'];

/**
 * @returns the components that were written
 * @throws {CheckpointError} when the file is malformed or holds a tensor that belongs nowhere
 */
export async function convertPth(options: ConvertPthOptions): Promise<PthComponent[]> {
  await using store = await openPth(options.pth);
  const components = split(store, options);
  const total = components
    .flatMap(({ tensors }) => tensors)
    .reduce((sum, { shape, dtype }) => sum + shape.reduce((a, b) => a * b, BYTES[dtype]), 0);
  let done = 0;
  for (const { name, file, config, tensors } of components) {
    const folder = join(options.out, name);
    await mkdir(options.out, { recursive: true });
    await mkdir(folder); // fails where a component is already
    try {
      if (config !== undefined) {
        await writeFile(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
      }
      await writeSafetensorsFile(join(folder, `${file}.safetensors`), tensors, {
        signal: options.signal,
        onBytes: (bytes) => {
          done += bytes;
          options.onProgress?.(done, total);
        },
      });
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }
  return components.map(({ name }) => name);
}

const BYTES = { F32: 4, F16: 2, BF16: 2, I8: 1, U8: 1, I64: 8 } as const;

function split(store: TensorStore, options: ConvertPthOptions): Component[] {
  const { entries } = store;
  if (entries.has('norm') && entries.has('block1.convs.0.weight')) {
    const tensors = [...entries.values()].map((entry) => whole(store, entry, entry.name));
    return [{ name: 'edge_detector', file: 'model', config: undefined, tensors }];
  }
  const isControl = [...entries.keys()].some((name) => name.startsWith(CONTROL));
  const prefix = isControl ? BASE : '';
  const tensors: TensorToWrite[] = [];
  const control: TensorToWrite[] = [];
  for (const entry of entries.values()) {
    if (isControl && entry.name.startsWith(CONTROL)) {
      control.push(...controlTensors(store, entry, entry.name.slice(CONTROL.length)));
    } else if (entry.name.startsWith(prefix)) {
      tensors.push(...baseTensors(store, entry, entry.name.slice(prefix.length)));
    } else {
      throw stranger(store, entry.name);
    }
  }
  const components: Component[] = [
    {
      name: 'transformer',
      file: 'diffusion_pytorch_model',
      config: transformerConfig(store, prefix, options),
      tensors,
    },
  ];
  if (isControl) {
    const blocks = new Set(control.map(({ name }) => name.split('.')[1]));
    const config = { _class_name: 'PixArtControlNetAdapterModel', num_layers: blocks.size };
    const file = 'diffusion_pytorch_model';
    components.push({ name: 'controlnet', file, config, tensors: control });
  }
  return components;
}

/** The diffusers tensors of one original tensor: several where layers are fused, none where it is dropped. */
function baseTensors(store: TensorStore, entry: TensorEntry, name: string): TensorToWrite[] {
  if (DROPPED.includes(name)) return [];
  if (name === 'final_layer.scale_shift_table') return [whole(store, entry, 'scale_shift_table')];
  const table = /^blocks\.(\d{1,3})\.scale_shift_table$/.exec(name);
  if (table !== null) {
    return [whole(store, entry, `transformer_blocks.${table[1]}.scale_shift_table`)];
  }
  const layer = /^(.+)\.(weight|bias)$/.exec(name);
  const parts = layer === null ? [] : originalModuleParts(layer[1]!);
  if (parts.length === 0) throw stranger(store, entry.name);
  return parts.map((part) => rows(store, entry, { ...part, name: `${part.module}.${layer![2]}` }));
}

function controlTensors(store: TensorStore, entry: TensorEntry, name: string): TensorToWrite[] {
  const match =
    /^(\d{1,3})\.(copied_block\.(?<inner>.+)|(?<outer>(?:before|after)_proj\.(?:weight|bias)))$/.exec(
      name,
    );
  if (match === null) throw stranger(store, entry.name);
  const block = `controlnet_blocks.${match[1]}`;
  const { inner, outer } = match.groups!;
  if (outer !== undefined) return [whole(store, entry, `${block}.${outer}`)];
  const copied = `${block}.transformer_block`;
  if (inner === 'scale_shift_table') return [whole(store, entry, `${copied}.scale_shift_table`)];
  const layer = /^(.+)\.(weight|bias)$/.exec(inner!);
  const parts = layer === null ? [] : originalBlockParts(layer[1]!, copied);
  if (parts.length === 0) throw stranger(store, entry.name);
  return parts.map((part) => rows(store, entry, { ...part, name: `${part.module}.${layer![2]}` }));
}

function whole(store: TensorStore, entry: TensorEntry, name: string): TensorToWrite {
  return rows(store, entry, { name, index: 0, count: 1 });
}

/** Part `index` of `count` of the rows of a tensor, under another name. */
function rows(
  store: TensorStore,
  entry: TensorEntry,
  { name, index, count }: { name: string; index: number; count: number },
): TensorToWrite {
  const [first, ...rest] = entry.shape;
  if (count > 1 && (first === undefined || first % count !== 0)) {
    throw new CheckpointError(
      `${store.path}: tensor ${entry.name}: ${first ?? 0} rows are not ${count} equal parts`,
    );
  }
  const bytes = entry.byteLength / count;
  return {
    name,
    dtype: entry.dtype,
    shape: count === 1 ? entry.shape : [first! / count, ...rest],
    async *chunks() {
      for (let at = 0; at < bytes; at += CHUNK_BYTES) {
        const begin = index * bytes + at;
        yield await store.read(entry.name, begin, begin + Math.min(CHUNK_BYTES, bytes - at));
      }
    },
  };
}

/** What the shapes tell of the model. */
function transformerConfig(
  store: TensorStore,
  prefix: string,
  { heads = PUBLISHED_HEADS, sampleSize }: ConvertPthOptions,
): Record<string, unknown> {
  const shape = (name: string) => {
    const entry = store.entries.get(`${prefix}${name}`);
    if (entry === undefined)
      throw new CheckpointError(`${store.path}: tensor ${prefix}${name} is missing`);
    return entry.shape;
  };
  const [width = 0, channels = 0, patch = 0] = shape('x_embedder.proj.weight');
  const captions = shape('y_embedder.y_proj.fc1.weight')[1] ?? 0;
  const outputs = shape('final_layer.linear.weight')[0] ?? 0;
  const layers = new Set(
    [...store.entries.keys()].flatMap((name) => {
      const match = name.startsWith(prefix) && /^blocks\.(\d+)\./.exec(name.slice(prefix.length));
      return match ? [match[1]] : [];
    }),
  ).size;
  if (width % heads !== 0) {
    throw new CheckpointError(
      `${store.path}: a width of ${width} is not ${heads} equal heads; say how many`,
    );
  }
  const positions = store.entries.get(`${prefix}pos_embed`)?.shape[1];
  const side = sampleSize ?? (positions === undefined ? undefined : patch * Math.sqrt(positions));
  if (side === undefined || !Number.isInteger(side)) {
    throw new CheckpointError(`${store.path}: nothing tells the native size; say it`);
  }
  return {
    _class_name: 'PixArtTransformer2DModel',
    activation_fn: 'gelu-approximate',
    attention_bias: true,
    attention_head_dim: width / heads,
    caption_channels: captions,
    cross_attention_dim: width,
    in_channels: channels,
    norm_elementwise_affine: false,
    norm_eps: 1e-6,
    norm_type: 'ada_norm_single',
    num_attention_heads: heads,
    num_embeds_ada_norm: 1000,
    num_layers: layers,
    out_channels: outputs / (patch * patch),
    patch_size: patch,
    sample_size: side,
    use_additional_conditions: store.entries.has(`${prefix}csize_embedder.mlp.0.weight`),
  };
}

function stranger({ path }: TensorStore, name: string): CheckpointError {
  return new CheckpointError(`${path}: tensor ${name.slice(0, 120)} belongs to no PixArt model`);
}
