/**
 * ControlNet-Transformer of PixArt-δ: copies of the first blocks look at control latents and steer the base.
 *
 * | graph            | runs once per | inputs                                                    | outputs                        |
 * |------------------|---------------|-----------------------------------------------------------|--------------------------------|
 * | `control_prompt` | prompt        | prompt_embeds [1, T, captions]                             | control_keys, control_values [K, T, D] |
 * | `control`        | step          | latents, control_latents [1, C, H, W], position_embedding [1, N, D], keys, values [1, T, D] of block 0, control_keys, control_values, modulation [L, 6, D] | control_residuals [K, N, D] |
 *
 * The K copies need nothing of the base but its state after block 0, so this graph computes that block once more and
 * the base (`denoise_control`) takes the residuals as an input; its weights are those of `denoise`.
 *
 * @see Chen et al. 2024, PixArt-δ (arXiv:2401.05252) §4
 */
import type { TransformerConfig } from '../configs.ts';
import type { Emitter } from '../emitters/emitter.ts';
import { GraphBuilder, type Value } from '../onnx/graph-builder.ts';
import { multiplyDims } from '../onnx/shape.ts';
import { stackSource } from '../quantize.ts';
import type { Weights } from '../weights.ts';
import { Module } from './module.ts';
import {
  block,
  embedPatches,
  latentsInput,
  MODULATION_COUNT,
  projectCaption,
  vectors,
} from './pixart-transformer.ts';

export interface ControlGraphs {
  readonly control_prompt: GraphBuilder;
  readonly control: GraphBuilder;
}

export interface ControlParts {
  readonly transformer: TransformerConfig;
  /** further accounts of the base's weights */
  readonly base: () => Weights;
  readonly weights: Weights;
  /** copied blocks K, fewer than the base has */
  readonly blockCount: number;
}

export function buildControl(parts: ControlParts, emitter: Emitter): ControlGraphs {
  return {
    control_prompt: buildControlPrompt(parts, emitter),
    control: buildControlStep(parts, emitter),
  };
}

/** Where the copy of a block lies in the adapter. */
const copyOf = (root: Module, i: number) => root.child(`controlnet_blocks.${i}.transformer_block`);

function buildControlPrompt(parts: ControlParts, emitter: Emitter): GraphBuilder {
  const { transformer, weights, blockCount } = parts;
  const g = new GraphBuilder('control_prompt');
  const { width } = transformer;
  const text = projectCaption(new Module(g, emitter, parts.base()), transformer);
  const root = new Module(g, emitter, weights);
  const input = root.prepare(text);
  const keys: Value[] = [];
  const values: Value[] = [];
  for (let i = 0; i < blockCount; i += 1) {
    const attention = copyOf(root, i).child('attn2');
    keys.push(attention.linear('to_k', input, [width, width]));
    values.push(attention.linear('to_v', input, [width, width]));
  }
  g.output('control_keys', g.cast(g.concat(keys, 0), 'float32'));
  g.output('control_values', g.cast(g.concat(values, 0), 'float32'));
  return g;
}

function buildControlStep(parts: ControlParts, emitter: Emitter): GraphBuilder {
  const { transformer: config, weights, blockCount } = parts;
  const g = new GraphBuilder('control');
  const { dtype } = emitter;
  const { width, num_layers: layers } = config;
  const base = new Module(g, emitter, parts.base());
  const root = new Module(g, emitter, weights);
  const tokens = multiplyDims('rows', 'columns');
  const latents = latentsInput(g, 'latents', config);
  const controlLatents = latentsInput(g, 'control_latents', config);
  const position = g.cast(g.input('position_embedding', 'float32', [1, tokens, width]), dtype);
  const text = (name: string, count: number) =>
    g.split(g.cast(g.input(name, 'float32', [count, 'tokens', width]), dtype), 0, count);
  const [key] = text('keys', 1);
  const [value] = text('values', 1);
  const controlKeys = text('control_keys', blockCount);
  const controlValues = text('control_values', blockCount);
  const modulation = g.input('modulation', 'float32', [layers, MODULATION_COUNT, width]);
  const rows = g.split(modulation, 0, layers);

  // Both through the base's own patch embedding, whose weights are claimed once.
  const embed = embedPatches(base, config);
  const embedded = (x: Value) => g.add(embed(x)[0], position);
  const afterFirst = block(base.child('transformer_blocks.0'), embedded(latents), config, {
    key: key!,
    value: value!,
    modulation: vectors(g, g.cast(rows[0]!, dtype)),
  });

  // modulation of block 0 = table of block 0 + shared part (+ 1), so that of a copy differs by the tables only
  const tables = Array.from({ length: blockCount }, (_, i) =>
    copyOf(root, i).tensor('scale_shift_table', [MODULATION_COUNT, width]),
  );
  const stacked = g.initializer(
    'controlnet_blocks.scale_shift_table',
    stackSource(tables, 'float32'),
  );
  const first = g.initializer(
    'transformer_blocks.0.scale_shift_table',
    stackSource(
      [base.child('transformer_blocks.0').tensor('scale_shift_table', [MODULATION_COUNT, width])],
      'float32',
    ),
  );
  const copied = vectors(g, g.cast(g.add(g.sub(stacked, first), rows[0]!), dtype));

  let hidden = embedded(controlLatents);
  const residuals: Value[] = [];
  for (let i = 0; i < blockCount; i += 1) {
    const control = root.child(`controlnet_blocks.${i}`);
    if (i === 0) {
      const before = control.linear('before_proj', control.prepare(hidden), [width, width]);
      hidden = g.add(afterFirst, before);
    }
    hidden = block(control.child('transformer_block'), hidden, config, {
      key: controlKeys[i]!,
      value: controlValues[i]!,
      modulation: copied.slice(i * MODULATION_COUNT, (i + 1) * MODULATION_COUNT),
    });
    residuals.push(control.linear('after_proj', control.prepare(hidden), [width, width]));
  }
  g.output('control_residuals', g.cast(g.concat(residuals, 0), 'float32'));
  return g;
}
