/**
 * Names and shapes of every tensor of a PixArt pipeline, written out from the configurations as diffusers and
 * transformers name them. Independent of the converter, which must agree with it.
 */
export type TensorShapes = Map<string, readonly number[]>;

export interface TextEncoderConfig {
  readonly vocab_size: number;
  readonly d_model: number;
  readonly d_kv: number;
  readonly d_ff: number;
  readonly num_layers: number;
  readonly num_heads: number;
  readonly relative_attention_num_buckets: number;
}

export interface TransformerConfig {
  readonly num_layers: number;
  readonly num_attention_heads: number;
  readonly attention_head_dim: number;
  readonly caption_channels: number;
  readonly in_channels: number;
  readonly out_channels: number;
  readonly patch_size: number;
  readonly use_additional_conditions: boolean;
}

export interface VaeConfig {
  readonly in_channels: number;
  readonly out_channels: number;
  readonly latent_channels: number;
  readonly block_out_channels: readonly number[];
  readonly layers_per_block: number;
}

export function textEncoderShapes(c: TextEncoderConfig): TensorShapes {
  const inner = c.num_heads * c.d_kv;
  const shapes: TensorShapes = new Map();
  shapes.set('shared.weight', [c.vocab_size, c.d_model]);
  for (let i = 0; i < c.num_layers; i += 1) {
    const attention = `encoder.block.${i}.layer.0`;
    for (const name of ['q', 'k', 'v']) {
      shapes.set(`${attention}.SelfAttention.${name}.weight`, [inner, c.d_model]);
    }
    shapes.set(`${attention}.SelfAttention.o.weight`, [c.d_model, inner]);
    if (i === 0) {
      shapes.set(`${attention}.SelfAttention.relative_attention_bias.weight`, [
        c.relative_attention_num_buckets,
        c.num_heads,
      ]);
    }
    shapes.set(`${attention}.layer_norm.weight`, [c.d_model]);
    const feedForward = `encoder.block.${i}.layer.1`;
    shapes.set(`${feedForward}.DenseReluDense.wi_0.weight`, [c.d_ff, c.d_model]);
    shapes.set(`${feedForward}.DenseReluDense.wi_1.weight`, [c.d_ff, c.d_model]);
    shapes.set(`${feedForward}.DenseReluDense.wo.weight`, [c.d_model, c.d_ff]);
    shapes.set(`${feedForward}.layer_norm.weight`, [c.d_model]);
  }
  shapes.set('encoder.final_layer_norm.weight', [c.d_model]);
  return shapes;
}

function blockShapes(shapes: TensorShapes, block: string, width: number): void {
  const linear = (name: string, out: number, input: number) => {
    shapes.set(`${block}.${name}.weight`, [out, input]);
    shapes.set(`${block}.${name}.bias`, [out]);
  };
  shapes.set(`${block}.scale_shift_table`, [6, width]);
  for (const attention of ['attn1', 'attn2']) {
    for (const name of ['to_q', 'to_k', 'to_v', 'to_out.0']) {
      linear(`${attention}.${name}`, width, width);
    }
  }
  linear('ff.net.0.proj', 4 * width, width);
  linear('ff.net.2', width, 4 * width);
}

export function transformerShapes(c: TransformerConfig): TensorShapes {
  const width = c.num_attention_heads * c.attention_head_dim;
  const shapes: TensorShapes = new Map();
  const linear = (name: string, out: number, input: number) => {
    shapes.set(`${name}.weight`, [out, input]);
    shapes.set(`${name}.bias`, [out]);
  };
  shapes.set('pos_embed.proj.weight', [width, c.in_channels, c.patch_size, c.patch_size]);
  shapes.set('pos_embed.proj.bias', [width]);
  linear('adaln_single.emb.timestep_embedder.linear_1', width, 256);
  linear('adaln_single.emb.timestep_embedder.linear_2', width, width);
  if (c.use_additional_conditions) {
    for (const name of ['resolution_embedder', 'aspect_ratio_embedder']) {
      linear(`adaln_single.emb.${name}.linear_1`, width / 3, 256);
      linear(`adaln_single.emb.${name}.linear_2`, width / 3, width / 3);
    }
  }
  linear('adaln_single.linear', 6 * width, width);
  linear('caption_projection.linear_1', width, c.caption_channels);
  linear('caption_projection.linear_2', width, width);
  for (let i = 0; i < c.num_layers; i += 1) blockShapes(shapes, `transformer_blocks.${i}`, width);
  shapes.set('scale_shift_table', [2, width]);
  linear('proj_out', c.patch_size * c.patch_size * c.out_channels, width);
  return shapes;
}

/** The control adapter as diffusers' research code names it. */
export function controlShapes(width: number, blockCount: number): TensorShapes {
  const shapes: TensorShapes = new Map();
  const linear = (name: string, out: number, input: number) => {
    shapes.set(`${name}.weight`, [out, input]);
    shapes.set(`${name}.bias`, [out]);
  };
  linear('controlnet_blocks.0.before_proj', width, width);
  for (let i = 0; i < blockCount; i += 1) {
    blockShapes(shapes, `controlnet_blocks.${i}.transformer_block`, width);
    linear(`controlnet_blocks.${i}.after_proj`, width, width);
  }
  return shapes;
}

/** `ControlNetHED.pth`. */
export function edgeDetectorShapes(): TensorShapes {
  const shapes: TensorShapes = new Map([['norm', [1, 3, 1, 1]]]);
  let inputs = 3;
  for (const [i, [channels, count]] of (
    [
      [64, 2],
      [128, 2],
      [256, 3],
      [512, 3],
      [512, 3],
    ] as const
  ).entries()) {
    for (let j = 0; j < count; j += 1) {
      shapes.set(`block${i + 1}.convs.${j}.weight`, [channels, inputs, 3, 3]);
      shapes.set(`block${i + 1}.convs.${j}.bias`, [channels]);
      inputs = channels;
    }
    shapes.set(`block${i + 1}.projection.weight`, [1, channels, 1, 1]);
    shapes.set(`block${i + 1}.projection.bias`, [1]);
  }
  return shapes;
}

export function vaeShapes(c: VaeConfig): TensorShapes {
  const shapes: TensorShapes = new Map();
  const conv = (name: string, out: number, input: number, kernel: number) => {
    shapes.set(`${name}.weight`, [out, input, kernel, kernel]);
    shapes.set(`${name}.bias`, [out]);
  };
  const norm = (name: string, channels: number) => {
    shapes.set(`${name}.weight`, [channels]);
    shapes.set(`${name}.bias`, [channels]);
  };
  const linear = (name: string, channels: number) => {
    shapes.set(`${name}.weight`, [channels, channels]);
    shapes.set(`${name}.bias`, [channels]);
  };
  const resnet = (name: string, input: number, out: number) => {
    norm(`${name}.norm1`, input);
    conv(`${name}.conv1`, out, input, 3);
    norm(`${name}.norm2`, out);
    conv(`${name}.conv2`, out, out, 3);
    if (input !== out) conv(`${name}.conv_shortcut`, out, input, 1);
  };
  const middle = (name: string, channels: number) => {
    resnet(`${name}.resnets.0`, channels, channels);
    norm(`${name}.attentions.0.group_norm`, channels);
    for (const part of ['to_q', 'to_k', 'to_v', 'to_out.0']) {
      linear(`${name}.attentions.0.${part}`, channels);
    }
    resnet(`${name}.resnets.1`, channels, channels);
  };
  const channels = c.block_out_channels;
  const last = channels.length - 1;

  conv('encoder.conv_in', channels[0]!, c.in_channels, 3);
  let width = channels[0]!;
  for (const [i, out] of channels.entries()) {
    for (let j = 0; j < c.layers_per_block; j += 1) {
      resnet(`encoder.down_blocks.${i}.resnets.${j}`, width, out);
      width = out;
    }
    if (i < last) conv(`encoder.down_blocks.${i}.downsamplers.0.conv`, out, out, 3);
  }
  middle('encoder.mid_block', width);
  norm('encoder.conv_norm_out', width);
  conv('encoder.conv_out', 2 * c.latent_channels, width, 3);
  conv('quant_conv', 2 * c.latent_channels, 2 * c.latent_channels, 1);

  conv('post_quant_conv', c.latent_channels, c.latent_channels, 1);
  width = channels[last]!;
  conv('decoder.conv_in', width, c.latent_channels, 3);
  middle('decoder.mid_block', width);
  for (const [i, out] of channels.toReversed().entries()) {
    for (let j = 0; j < c.layers_per_block + 1; j += 1) {
      resnet(`decoder.up_blocks.${i}.resnets.${j}`, width, out);
      width = out;
    }
    if (i < last) conv(`decoder.up_blocks.${i}.upsamplers.0.conv`, out, out, 3);
  }
  norm('decoder.conv_norm_out', width);
  conv('decoder.conv_out', c.out_channels, width, 3);
  return shapes;
}
