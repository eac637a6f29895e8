/**
 * Blocks that the VAE's encoder and decoder share.
 *
 * @see Rombach et al. 2022 (arXiv:2112.10752); diffusers `autoencoder_kl.py`, `vae.py`, `resnet.py`
 */
import type { VaeConfig } from '../configs.ts';
import type { Value } from '../onnx/graph-builder.ts';
import { multiplyDims } from '../onnx/shape.ts';
import type { Module } from './module.ts';

/** Every GroupNorm of the VAE. */
const EPSILON = 1e-6;
const SAME = { pads: [1, 1, 1, 1] } as const;

/** 3×3 convolution that keeps the size. */
export function conv3(
  m: Module,
  name: string,
  x: Value,
  channels: { inputs: number; outputs: number; precise: boolean },
): Value {
  return m.conv(name, x, { ...channels, kernel: 3, ...SAME });
}

export function groupNorm(
  m: Module,
  x: Value,
  { channels, groups, silu }: { channels: number; groups: number; silu: boolean },
): Value {
  return m.emitter.groupNorm(m.g, x, {
    weight: m.tensor('weight', [channels]),
    bias: m.tensor('bias', [channels]),
    groups,
    epsilon: EPSILON,
    silu,
  });
}

/** x + conv2(silu(norm2( conv1(silu(norm1(x))) ))), with a 1×1 convolution on x where channels change. */
export function resnet(
  m: Module,
  x: Value,
  { inputs, outputs, groups }: { inputs: number; outputs: number; groups: number },
): Value {
  let hidden = groupNorm(m.child('norm1'), x, { channels: inputs, groups, silu: true });
  hidden = conv3(m, 'conv1', hidden, { inputs, outputs, precise: false });
  hidden = groupNorm(m.child('norm2'), hidden, { channels: outputs, groups, silu: true });
  hidden = conv3(m, 'conv2', hidden, { inputs: outputs, outputs, precise: false });
  const shortcut =
    inputs === outputs
      ? x
      : m.conv('conv_shortcut', x, { inputs, outputs, kernel: 1, precise: true });
  return m.g.add(shortcut, hidden);
}

/** resnet, attention over all positions (one head), resnet. */
export function midBlock(m: Module, x: Value, channels: number, config: VaeConfig): Value {
  const { norm_num_groups: groups } = config;
  let hidden = resnet(m.child('resnets.0'), x, { inputs: channels, outputs: channels, groups });
  if (config.mid_block_add_attention) {
    hidden = attention(m.child('attentions.0'), hidden, channels, groups);
  }
  return resnet(m.child('resnets.1'), hidden, { inputs: channels, outputs: channels, groups });
}

function attention(m: Module, x: Value, channels: number, groups: number): Value {
  const { g } = m;
  const [, , height, width] = x.shape as readonly [number, number, number, number];
  const normed = groupNorm(m.child('group_norm'), x, { channels, groups, silu: false });
  const tokens = g.transpose(
    g.reshape(normed, [1, channels, multiplyDims(height, width)]),
    [0, 2, 1],
  ); // [1, H·W, C]
  const input = m.prepare(tokens);
  const q = m.linear('to_q', input, [channels, channels]);
  const k = m.linear('to_k', input, [channels, channels]);
  const v = m.linear('to_v', input, [channels, channels]);
  const mixed = g.multiHeadAttention({ q, k, v }, { heads: 1, scale: 1 / Math.sqrt(channels) });
  const output = m.linear('to_out.0', m.prepare(mixed), [channels, channels]);
  return g.add(x, g.reshapeLike(g.transpose(output, [0, 2, 1]), x));
}
