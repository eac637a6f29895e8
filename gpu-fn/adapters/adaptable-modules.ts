/**
 * The modules of a PixArt transformer that a low-rank adapter can change, by the names of diffusers, with the shapes
 * of their weights. `scale_shift_table` is a table and no layer: no adapter reaches it.
 */
import type { Manifest } from '../runtime/manifest.ts';

/** `[out, in]` of a linear layer, `[out, in, k, k]` of a convolution. */
export type ModuleShapes = ReadonlyMap<string, readonly number[]>;

/** Channels of the sinusoids of timestep, resolution and ratio. */
const SINUSOID_CHANNELS = 256;

export function adaptableModules({ transformer, text }: Manifest): ModuleShapes {
  const { width, latent_channels: channels, patch_size: patch } = transformer;
  const shapes = new Map<string, readonly number[]>();
  shapes.set('pos_embed.proj', [width, channels, patch, patch]);
  const embedder = (name: string, size: number) => {
    shapes.set(`adaln_single.emb.${name}.linear_1`, [size, SINUSOID_CHANNELS]);
    shapes.set(`adaln_single.emb.${name}.linear_2`, [size, size]);
  };
  embedder('timestep_embedder', width);
  if (transformer.use_additional_conditions) {
    embedder('resolution_embedder', width / 3);
    embedder('aspect_ratio_embedder', width / 3);
  }
  shapes.set('adaln_single.linear', [6 * width, width]);
  shapes.set('caption_projection.linear_1', [width, text.channels]);
  shapes.set('caption_projection.linear_2', [width, width]);
  for (let i = 0; i < transformer.num_layers; i += 1) {
    const block = `transformer_blocks.${i}`;
    for (const attention of ['attn1', 'attn2']) {
      for (const layer of ['to_q', 'to_k', 'to_v', 'to_out.0']) {
        shapes.set(`${block}.${attention}.${layer}`, [width, width]);
      }
    }
    shapes.set(`${block}.ff.net.0.proj`, [4 * width, width]);
    shapes.set(`${block}.ff.net.2`, [width, 4 * width]);
  }
  const outputs = transformer.out_channels ?? channels;
  shapes.set('proj_out', [patch * patch * outputs, width]);
  return shapes;
}
