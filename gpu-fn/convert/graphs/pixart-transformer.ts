/**
 * The PixArt transformer in three graphs, cut where inputs change at different rates.
 *
 * | graph       | runs once per          | inputs                                            | outputs                                   |
 * |-------------|------------------------|---------------------------------------------------|-------------------------------------------|
 * | `prompt`    | prompt                 | prompt_embeds [1, T, captions]                     | keys, values [L, T, D]                    |
 * | `condition` | timestep (and size)    | timestep [1] (, resolution [1, 2], aspect_ratio [1, 1]) | modulation [L, 6, D], final_modulation [2, D] |
 * | `denoise`   | step                   | latents [1, C, H, W], position_embedding [1, N, D], keys, values, modulation, final_modulation | noise_pred, with a learned variance also variance [1, C, H, W] |
 *
 * All inputs and outputs are float32, whatever the target computes in. L layers, D width, T text tokens, N = (H/patch)·(W/patch) tokens. Scales in `modulation` and `final_modulation`
 * hold 1 + scale, ready to be the Scale of a LayerNormalization. A learned variance is an output of its own, which is
 * asked for by the samplers that read it.
 *
 * @see Chen et al. 2023, PixArt-α (arXiv:2310.00426) §2.3; diffusers `pixart_transformer_2d.py`
 */
import type { TransformerConfig } from '../configs.ts';
import type { Emitter } from '../emitters/emitter.ts';
import { GraphBuilder, type Value } from '../onnx/graph-builder.ts';
import { type Dim, multiplyDims, type Shape } from '../onnx/shape.ts';
import { type FloatDtype, stackSource } from '../quantize.ts';
import type { Weights } from '../weights.ts';
import { Module } from './module.ts';

/** Channels of the sinusoidal timestep embedding. */
const TIMESTEP_CHANNELS = 256;
/** shift, scale, gate of self-attention, then of the MLP. */
export const MODULATION_COUNT = 6;
const SCALE_ROWS = [0, 1, 0, 0, 1, 0] as const;

export interface TransformerGraphs {
  readonly prompt: GraphBuilder;
  readonly condition: GraphBuilder;
  readonly denoise: GraphBuilder;
}

export function buildTransformer(
  config: TransformerConfig,
  weights: Weights,
  emitter: Emitter,
): TransformerGraphs {
  return {
    prompt: buildPrompt(config, weights, emitter),
    condition: buildCondition(config, weights, emitter),
    denoise: buildDenoise(config, weights, emitter),
  };
}

/** Caption projection, then the keys and values of every block's cross-attention. */
function buildPrompt(config: TransformerConfig, weights: Weights, emitter: Emitter): GraphBuilder {
  const g = new GraphBuilder('prompt');
  const root = new Module(g, emitter, weights);
  const { width } = config;
  const input = root.prepare(projectCaption(root, config));
  const keys: Value[] = [];
  const values: Value[] = [];
  for (let i = 0; i < config.num_layers; i += 1) {
    const attention = root.child(`transformer_blocks.${i}.attn2`);
    keys.push(attention.linear('to_k', input, [width, width])); // [1, T, D]
    values.push(attention.linear('to_v', input, [width, width]));
  }
  g.output('keys', g.cast(g.concat(keys, 0), 'float32'));
  g.output('values', g.cast(g.concat(values, 0), 'float32'));
  return g;
}

/** The input `prompt_embeds` `[1, T, captions]` → linear_2( gelu_tanh( linear_1(y) ) ) `[1, T, D]`. */
export function projectCaption(root: Module, config: TransformerConfig): Value {
  const { g, emitter } = root;
  const { width, caption_channels: captions } = config;
  const embeds = g.input('prompt_embeds', 'float32', [1, 'tokens', captions]);
  const projection = root.child('caption_projection');
  const hidden = projection.linearGelu(
    'linear_1',
    projection.prepare(g.cast(embeds, emitter.dtype)),
    [width, captions],
  );
  return projection.linear('linear_2', projection.prepare(hidden), [width, width]);
}

/** adaLN-single: what timestep, resolution and aspect ratio say to all blocks. Always float32 inside. */
function buildCondition(
  config: TransformerConfig,
  weights: Weights,
  emitter: Emitter,
): GraphBuilder {
  const g = new GraphBuilder('condition');
  const root = new Module(g, emitter, weights);
  const { width, num_layers: layers } = config;
  const adaln = root.child('adaln_single');
  const timestep = g.input('timestep', 'float32', [1]);
  let embedded = embedScalars(adaln.child('emb.timestep_embedder'), timestep, width); // [1, D]
  if (config.use_additional_conditions) {
    const part = width / 3;
    const resolution = g.reshape(g.input('resolution', 'float32', [1, 2]), [2]);
    const ratio = g.reshape(g.input('aspect_ratio', 'float32', [1, 1]), [1]);
    const size = embedScalars(adaln.child('emb.resolution_embedder'), resolution, part); // [2, D/3]
    const aspect = embedScalars(adaln.child('emb.aspect_ratio_embedder'), ratio, part); // [1, D/3]
    const extra = g.concat([g.reshape(size, [1, 2 * part]), aspect], 1); // height | width | ratio
    embedded = g.add(embedded, extra);
  }
  const all = adaln.preciseLinear('linear', g.silu(embedded), [MODULATION_COUNT * width, width]);

  // scale_shift_table[i] + t6 of every block, and 1 + on the scales
  const tables = Array.from({ length: layers }, (_, i) =>
    root.child(`transformer_blocks.${i}`).tensor('scale_shift_table', [MODULATION_COUNT, width]),
  );
  const stacked = g.initializer(
    'transformer_blocks.scale_shift_table',
    stackSource(tables, 'float32'),
  );
  const shared = g.reshape(all, [1, MODULATION_COUNT, width]);
  const ones = g.constant('float32', [1, MODULATION_COUNT, 1], SCALE_ROWS);
  const modulation = g.add(g.add(stacked, shared), ones); // [L, 6, D]
  g.output('modulation', modulation);

  // shift, scale of the last norm: table + the embedding itself, not activated
  const table = g.initializer(
    'scale_shift_table',
    stackSource([root.tensor('scale_shift_table', [2, width])], 'float32'),
  );
  const last = g.add(
    g.add(g.reshape(table, [2, width]), embedded),
    g.constant('float32', [2, 1], [0, 1]),
  );
  g.output('final_modulation', last);
  return g;
}

/** linear_2( silu( linear_1( sinusoid ) ) ) of each scalar: `[n]` → `[n, width]`. */
function embedScalars(m: Module, values: Value, width: number): Value {
  const { g } = m;
  const half = TIMESTEP_CHANNELS / 2;
  const frequencies = g.constant(
    'float32',
    [1, half],
    Array.from({ length: half }, (_, i) => Math.exp((-Math.log(10_000) * i) / half)),
  );
  const angles = g.mul(g.unsqueeze(values, 1), frequencies); // [n, 128]
  const sinusoid = g.concat([g.cos(angles), g.sin(angles)], 1); // cosines first
  const hidden = g.silu(m.preciseLinear('linear_1', sinusoid, [width, TIMESTEP_CHANNELS]));
  return m.preciseLinear('linear_2', hidden, [width, width]);
}

/** One step: everything that depends on the latents. */
export function buildDenoise(
  config: TransformerConfig,
  weights: Weights,
  emitter: Emitter,
  { controlBlocks = 0 }: { readonly controlBlocks?: number } = {},
): GraphBuilder {
  const g = new GraphBuilder('denoise');
  const root = new Module(g, emitter, weights);
  const { dtype } = emitter;
  const { width, num_layers: layers } = config;
  const rows: Dim = 'rows';
  const columns: Dim = 'columns';
  const tokens = multiplyDims(rows, columns);
  const latents = latentsInput(g, 'latents', config);
  const position = g.input('position_embedding', 'float32', [1, tokens, width]);
  const input = (name: string, shape: Shape) => g.cast(g.input(name, 'float32', shape), dtype);
  const keys = g.split(input('keys', [layers, 'tokens', width]), 0, layers);
  const values = g.split(input('values', [layers, 'tokens', width]), 0, layers);
  const modulation = vectors(g, input('modulation', [layers, MODULATION_COUNT, width]));
  const [finalShift, finalScale] = vectors(g, input('final_modulation', [2, width]));

  const [flat, patches] = embedPatches(root, config)(latents);
  let hidden = g.add(flat, g.cast(position, dtype));
  const control = controlBlocks > 0 ? controlInputs(g, { ...config, controlBlocks }, dtype) : [];
  for (let i = 0; i < layers; i += 1) {
    // Copy i − 1 steers block i; block 0 is not steered.
    const residual = control[i - 1];
    if (residual !== undefined) hidden = g.add(hidden, residual);
    hidden = block(root.child(`transformer_blocks.${i}`), hidden, config, {
      key: keys[i]!,
      value: values[i]!,
      modulation: modulation.slice(i * MODULATION_COUNT, (i + 1) * MODULATION_COUNT),
    });
  }
  const normed = g.layerNormalization(hidden, finalScale!, finalShift!, config.norm_eps);
  const output = g.cast(unpatchify(root.child('proj_out'), normed, config, patches), 'float32');
  if (config.out_channels === config.in_channels) {
    g.output('noise_pred', output);
  } else {
    const [noisePred, variance] = g.split(output, 1, 2);
    g.output('noise_pred', noisePred!);
    g.output('variance', variance!);
  }
  return g;
}

/** Latents `[1, C, patch·rows, patch·columns]`. */
export function latentsInput(g: GraphBuilder, name: string, config: TransformerConfig): Value {
  const { patch_size: patch, in_channels: channels } = config;
  const sides = [multiplyDims(patch, 'rows'), multiplyDims(patch, 'columns')] as const;
  return g.input(name, 'float32', [1, channels, ...sides]);
}

/**
 * The patch embedding, which may be applied to several latents.
 *
 * @returns tokens `[1, N, D]`, and the same as a grid `[1, D, rows, columns]`
 */
export function embedPatches(
  root: Module,
  config: TransformerConfig,
): (latents: Value) => [flat: Value, grid: Value] {
  const { g, emitter } = root;
  const { width, patch_size: patch, in_channels: channels } = config;
  const layer = root.child('pos_embed.proj');
  const weight = layer.tensor('weight', [width, channels, patch, patch]);
  const bias = layer.tensor('bias', [width]);
  return (latents) => {
    const spec = { stride: patch, precise: true };
    const grid = emitter.conv(layer.g, g.cast(latents, emitter.dtype), weight, bias, spec);
    const flat = g.reshape(grid, [1, width, multiplyDims('rows', 'columns')]);
    return [g.transpose(flat, [0, 2, 1]), grid];
  };
}

/** What a control network adds before blocks 1, 2, …: `[1, N, D]` each, times the scale. */
function controlInputs(
  g: GraphBuilder,
  { width, controlBlocks }: TransformerConfig & { controlBlocks: number },
  dtype: FloatDtype,
): Value[] {
  const tokens = multiplyDims('rows', 'columns');
  const residuals = g.input('control_residuals', 'float32', [controlBlocks, tokens, width]);
  const scale = g.input('control_scale', 'float32', [1]);
  return g.split(g.cast(g.mul(residuals, scale), dtype), 0, controlBlocks);
}

interface BlockInputs {
  /** `[1, T, D]` */
  readonly key: Value;
  readonly value: Value;
  /** six of `[D]`: shift, 1 + scale, gate of self-attention, then of the MLP */
  readonly modulation: readonly Value[];
}

export function block(m: Module, x: Value, config: TransformerConfig, inputs: BlockInputs): Value {
  const { g } = m;
  const { width } = config;
  const [shiftMsa, scaleMsa, gateMsa, shiftMlp, scaleMlp, gateMlp] = inputs.modulation;
  const heads = {
    heads: config.num_attention_heads,
    scale: 1 / Math.sqrt(config.attention_head_dim),
  };

  // x + gate_msa · attn1( LN(x)·(1 + scale_msa) + shift_msa )
  const self = m.child('attn1');
  const selfInput = self.prepare(g.layerNormalization(x, scaleMsa!, shiftMsa!, config.norm_eps));
  const q = self.linear('to_q', selfInput, [width, width]); // [1, N, D]
  const k = self.linear('to_k', selfInput, [width, width]);
  const v = self.linear('to_v', selfInput, [width, width]);
  const mixed = self.g.multiHeadAttention({ q, k, v }, heads);
  const attended = self.linear('to_out.0', self.prepare(mixed), [width, width]);
  const afterSelf = g.add(x, g.mul(attended, gateMsa!));

  // x + attn2(x, text): neither norm nor gate
  const cross = m.child('attn2');
  const query = cross.linear('to_q', cross.prepare(afterSelf), [width, width]);
  const read = cross.g.multiHeadAttention({ q: query, k: inputs.key, v: inputs.value }, heads);
  const afterCross = g.add(
    afterSelf,
    cross.linear('to_out.0', cross.prepare(read), [width, width]),
  );

  // x + gate_mlp · ff( LN(x)·(1 + scale_mlp) + shift_mlp )
  const feedForward = m.child('ff.net');
  const normed = g.layerNormalization(afterCross, scaleMlp!, shiftMlp!, config.norm_eps);
  const hidden = feedForward.linearGelu('0.proj', feedForward.prepare(normed), [4 * width, width]);
  const down = feedForward.linear('2', feedForward.prepare(hidden), [width, 4 * width]);
  return g.add(afterCross, g.mul(down, gateMlp!));
}

/** proj_out and the inverse of patching. */
function unpatchify(layer: Module, x: Value, config: TransformerConfig, patches: Value): Value {
  const { g } = layer;
  const { width, patch_size: patch, out_channels: channels } = config;
  const [, , rows, columns] = patches.shape as readonly [Dim, Dim, Dim, Dim];
  // features are ordered (p·patch + q)·out_channels + channel
  const features = patch * patch * channels;
  const projected = layer.emitter.preciseLinear(
    g,
    g.cast(x, 'float32'),
    layer.tensor('weight', [features, width]),
    layer.tensor('bias', [features]),
  ); // [1, N, patch²·C]
  const image = g.reshape(
    g.transpose(projected, [0, 2, 1]),
    [1, features, rows, columns],
    [patches],
  );
  return g.depthToSpace(image, patch);
}

/** All rows of the last axis as vectors: `[…, D]` → n × `[D]`. */
export function vectors(g: GraphBuilder, x: Value): Value[] {
  const width = x.shape.at(-1)! as number;
  const total = multiplyDims(...x.shape) as number;
  return g.split(g.reshape(x, [total]), 0, total / width);
}
