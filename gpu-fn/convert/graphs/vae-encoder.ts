/**
 * The VAE encoder: pixels → the distribution of latents.
 *
 * | graph         | inputs                                             | outputs                                          |
 * |---------------|----------------------------------------------------|--------------------------------------------------|
 * | `vae_encoder` | sample float32 [1, channels, f·rows, f·columns], −1…1 | mean, logvar float32 [1, C, rows, columns]   |
 *
 * Neither output is scaled: a model's latents are (mean + exp(logvar/2)·noise)·scaling_factor. logvar is clamped to
 * −30…20 as the reference does. Runs in float: it is used once for a picture that somebody gives.
 */
import type { VaeConfig } from '../configs.ts';
import type { Emitter } from '../emitters/emitter.ts';
import { GraphBuilder } from '../onnx/graph-builder.ts';
import { multiplyDims } from '../onnx/shape.ts';
import type { Weights } from '../weights.ts';
import { Module } from './module.ts';
import { conv3, groupNorm, midBlock, resnet } from './vae-blocks.ts';

export function buildVaeEncoder(
  config: VaeConfig,
  weights: Weights,
  emitter: Emitter,
): GraphBuilder {
  const g = new GraphBuilder('vae_encoder');
  const root = new Module(g, emitter, weights);
  const { latent_channels: latentChannels, norm_num_groups: groups } = config;
  const channels = config.block_out_channels;
  const factor = 2 ** (channels.length - 1);
  const sample = g.input('sample', 'float32', [
    1,
    config.in_channels,
    multiplyDims(factor, 'rows'),
    multiplyDims(factor, 'columns'),
  ]);

  const encoder = root.child('encoder');
  let width = channels[0]!;
  let hidden = conv3(encoder, 'conv_in', g.cast(sample, emitter.dtype), {
    inputs: config.in_channels,
    outputs: width,
    precise: true,
  });
  for (const [i, outputs] of channels.entries()) {
    const down = encoder.child(`down_blocks.${i}`);
    for (let j = 0; j < config.layers_per_block; j += 1) {
      hidden = resnet(down.child(`resnets.${j}`), hidden, { inputs: width, outputs, groups });
      width = outputs;
    }
    if (i < channels.length - 1) {
      // one row below and one column to the right, then stride 2 without padding
      hidden = down.conv('downsamplers.0.conv', hidden, {
        inputs: width,
        outputs: width,
        kernel: 3,
        stride: 2,
        pads: [0, 0, 1, 1],
        precise: false,
      });
    }
  }
  hidden = midBlock(encoder.child('mid_block'), hidden, width, config);
  hidden = groupNorm(encoder.child('conv_norm_out'), hidden, {
    channels: width,
    groups,
    silu: true,
  });
  let moments = conv3(encoder, 'conv_out', hidden, {
    inputs: width,
    outputs: 2 * latentChannels,
    precise: true,
  });
  if (config.use_quant_conv) {
    moments = root.conv('quant_conv', moments, {
      inputs: 2 * latentChannels,
      outputs: 2 * latentChannels,
      kernel: 1,
      precise: true,
    });
  }
  const [mean, logvar] = g.split(g.cast(moments, 'float32'), 1, 2);
  g.output('mean', mean!);
  g.output('logvar', g.clip(logvar!, g.scalar(-30), g.scalar(20)));
  return g;
}
