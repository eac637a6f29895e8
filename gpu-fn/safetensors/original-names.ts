/**
 * Module names of PixArt's own code → those of diffusers.
 *
 * The original fuses q, k and v (and the k and v of cross-attention) into one layer: such a name stands for several
 * modules, each of which takes an equal part of the rows.
 *
 * @see PixArt-alpha, tools/convert_pixart_alpha_to_diffusers.py
 */

/** Part `index` of `count` equal parts of the rows. */
export interface RowPart {
  readonly module: string;
  readonly index: number;
  readonly count: number;
}

const WHOLE = new Map([
  ['x_embedder.proj', 'pos_embed.proj'],
  ['t_embedder.mlp.0', 'adaln_single.emb.timestep_embedder.linear_1'],
  ['t_embedder.mlp.2', 'adaln_single.emb.timestep_embedder.linear_2'],
  ['csize_embedder.mlp.0', 'adaln_single.emb.resolution_embedder.linear_1'],
  ['csize_embedder.mlp.2', 'adaln_single.emb.resolution_embedder.linear_2'],
  ['ar_embedder.mlp.0', 'adaln_single.emb.aspect_ratio_embedder.linear_1'],
  ['ar_embedder.mlp.2', 'adaln_single.emb.aspect_ratio_embedder.linear_2'],
  ['t_block.1', 'adaln_single.linear'],
  ['y_embedder.y_proj.fc1', 'caption_projection.linear_1'],
  ['y_embedder.y_proj.fc2', 'caption_projection.linear_2'],
  ['final_layer.linear', 'proj_out'],
]);

const IN_BLOCK = new Map([
  ['attn.qkv', ['attn1.to_q', 'attn1.to_k', 'attn1.to_v']],
  ['attn.proj', ['attn1.to_out.0']],
  ['mlp.fc1', ['ff.net.0.proj']],
  ['mlp.fc2', ['ff.net.2']],
  ['cross_attn.q_linear', ['attn2.to_q']],
  ['cross_attn.kv_linear', ['attn2.to_k', 'attn2.to_v']],
  ['cross_attn.proj', ['attn2.to_out.0']],
]);

/** @returns the modules that an original one stands for; none when the name is not known */
export function originalModuleParts(name: string): readonly RowPart[] {
  const whole = WHOLE.get(name);
  if (whole !== undefined) return [{ module: whole, index: 0, count: 1 }];
  const match = /^blocks\.(\d{1,3})\.(.+)$/.exec(name);
  return match === null ? [] : originalBlockParts(match[2]!, `transformer_blocks.${match[1]}`);
}

/** The same inside one block, which diffusers knows as `block`. */
export function originalBlockParts(name: string, block: string): readonly RowPart[] {
  const modules = IN_BLOCK.get(name) ?? [];
  return modules.map((module, index) => ({
    module: `${block}.${module}`,
    index,
    count: modules.length,
  }));
}
