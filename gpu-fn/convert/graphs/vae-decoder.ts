/**
 * The VAE decoder: latents → pixels.
 *
 * | graph         | inputs                                   | outputs                                                        |
 * |---------------|------------------------------------------|----------------------------------------------------------------|
 * | `vae_decoder` | latents float32 [1, C, rows, columns]    | pixels uint8 [1, f·rows, f·columns, channels], sample float32 [1, channels, f·rows, f·columns] |
 *
 * `sample` is the decoder's own output, about −1…1; pixels = round(clamp(sample/2 + 0.5, 0, 1)·255), half to even.
 * A caller fetches the one it wants. Latents are those of the transformer: they are divided by the scaling factor
 * here.
 */
import type { VaeConfig } from '../configs.ts';
import type { Emitter } from '../emitters/emitter.ts';
import { GraphBuilder } from '../onnx/graph-builder.ts';
import type { Weights } from '../weights.ts';
import { Module } from './module.ts';
import { conv3, groupNorm, midBlock, resnet } from './vae-blocks.ts';

export function buildVaeDecoder(
  config: VaeConfig,
  weights: Weights,
  emitter: Emitter,
): GraphBuilder {
  const g = new GraphBuilder('vae_decoder');
  const root = new Module(g, emitter, weights);
  const { latent_channels: latentChannels, norm_num_groups: groups } = config;
  const channels = config.block_out_channels.toReversed();
  const latents = g.input('latents', 'float32', [1, latentChannels, 'rows', 'columns']);

  let hidden = g.cast(g.mul(latents, g.scalar(1 / config.scaling_factor)), emitter.dtype);
  if (config.use_post_quant_conv) {
    hidden = root.conv('post_quant_conv', hidden, {
      outputs: latentChannels,
      inputs: latentChannels,
      kernel: 1,
      precise: true,
    });
  }
  const decoder = root.child('decoder');
  let width = channels[0]!;
  hidden = conv3(decoder, 'conv_in', hidden, {
    inputs: latentChannels,
    outputs: width,
    precise: true,
  });
  hidden = midBlock(decoder.child('mid_block'), hidden, width, config);
  for (const [i, outputs] of channels.entries()) {
    const up = decoder.child(`up_blocks.${i}`);
    for (let j = 0; j < config.layers_per_block + 1; j += 1) {
      hidden = resnet(up.child(`resnets.${j}`), hidden, { inputs: width, outputs, groups });
      width = outputs;
    }
    if (i < channels.length - 1) {
      const larger = g.upsampleNearest2(hidden);
      hidden = conv3(up, 'upsamplers.0.conv', larger, {
        inputs: width,
        outputs: width,
        precise: false,
      });
    }
  }
  hidden = groupNorm(decoder.child('conv_norm_out'), hidden, {
    channels: width,
    groups,
    silu: true,
  });
  const sample = g.cast(
    conv3(decoder, 'conv_out', hidden, {
      inputs: width,
      outputs: config.out_channels,
      precise: true,
    }),
    'float32',
  );

  // clamp(x/2 + 0.5, 0, 1) · 255
  const unit = g.add(g.mul(sample, g.scalar(0.5)), g.scalar(0.5));
  const bytes = g.round(g.mul(g.clip(unit, g.scalar(0), g.scalar(1)), g.scalar(255)));
  g.output('pixels', g.transpose(g.cast(bytes, 'uint8'), [0, 2, 3, 1]));
  g.output('sample', sample);
  return g;
}
