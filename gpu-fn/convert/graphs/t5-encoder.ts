/**
 * The T5 v1.1 encoder: token ids → text embeddings, for real tokens only (no pads, hence no mask).
 *
 * | graph          | inputs              | outputs                         |
 * |----------------|---------------------|---------------------------------|
 * | `text_encoder` | input_ids int32 [1, tokens] | prompt_embeds float32 [1, tokens, d_model] |
 *
 * @see Raffel et al. 2020 (arXiv:1910.10683) §2.1; transformers `modeling_t5.py`, T5EncoderModel
 */
import type { TextEncoderConfig } from '../configs.ts';
import type { Emitter } from '../emitters/emitter.ts';
import { GraphBuilder, type Value } from '../onnx/graph-builder.ts';
import { floatSource } from '../quantize.ts';
import type { Weights } from '../weights.ts';
import { Module } from './module.ts';

export function buildTextEncoder(
  config: TextEncoderConfig,
  weights: Weights,
  emitter: Emitter,
): GraphBuilder {
  const g = new GraphBuilder('text_encoder');
  const root = new Module(g, emitter, weights);
  const ids = g.input('input_ids', 'int32', [1, 'tokens']);

  const embedding = root.child('shared');
  const table = embedding.tensor('weight', [config.vocab_size, config.d_model]);
  let hidden = emitter.embedding(embedding.g, ids, table); // [1, T, D], no √d scaling
  const stack = root.child('encoder');
  const bias = relativeBias(stack.child('block.0.layer.0.SelfAttention'), ids, config);
  for (let i = 0; i < config.num_layers; i += 1) {
    hidden = block(stack.child(`block.${i}`), hidden, bias, config);
  }
  g.output('prompt_embeds', rmsNorm(stack.child('final_layer_norm'), hidden, config));
  return g;
}

/** Pre-norm attention and gated feed-forward, each added to a float32 residual. */
function block(m: Module, x: Value, bias: Value, config: TextEncoderConfig): Value {
  const { g } = m;
  const { dtype } = m.emitter;
  const { d_model: width, d_ff: hiddenWidth, num_heads: heads } = config;
  const inner = heads * config.d_kv;

  const attention = m.child('layer.0');
  const normed = g.cast(rmsNorm(attention.child('layer_norm'), x, config), dtype);
  const self = attention.child('SelfAttention');
  const input = self.prepare(normed);
  const q = self.linearNoBias('q', input, [inner, width]); // [1, T, heads·d_kv]
  const k = self.linearNoBias('k', input, [inner, width]);
  const v = self.linearNoBias('v', input, [inner, width]);
  // softmax(q·kᵀ + bias)·v, without 1/√d
  const mixed = self.g.multiHeadAttention({ q, k, v, bias }, { heads, scale: 1 });
  const output = self.child('o');
  const attended = g.add(
    x,
    m.emitter.linearToResidual(output.g, mixed, output.tensor('weight', [width, inner])),
  );

  const feedForward = m.child('layer.1');
  const dense = feedForward.child('DenseReluDense');
  const gateInput = dense.prepare(
    g.cast(rmsNorm(feedForward.child('layer_norm'), attended, config), dtype),
  );
  // gelu_tanh(wi_0·y) ⊙ (wi_1·y)
  const gated = dense.g.mul(
    dense.g.geluTanh(dense.linearNoBias('wi_0', gateInput, [hiddenWidth, width])),
    dense.linearNoBias('wi_1', gateInput, [hiddenWidth, width]),
  );
  const down = dense.child('wo');
  return g.add(
    attended,
    m.emitter.linearToResidual(down.g, gated, down.tensor('weight', [width, hiddenWidth])),
  );
}

/** float32 whatever the target. */
function rmsNorm(m: Module, x: Value, config: TextEncoderConfig): Value {
  const scale = m.tensor('weight', [config.d_model]);
  return m.emitter.rmsNorm(m.g, x, scale, config.layer_norm_epsilon);
}

/**
 * bias[0, head, i, j] = table[bucket(j − i)][head]: block 0 owns the table, all blocks share the result.
 *
 * @returns `[1, heads, T, T]`
 */
function relativeBias(m: Module, ids: Value, config: TextEncoderConfig): Value {
  const { num_heads: heads, relative_attention_num_buckets: buckets } = config;
  const { relative_attention_max_distance: distanceMax } = config;
  const layer = m.child('relative_attention_bias');
  const { g } = layer;
  const table = g.initializer(
    'weight',
    floatSource(layer.tensor('weight', [buckets, heads]), m.emitter.dtype),
  );
  const positions = g.rangeOf(ids, 1); // [T]
  const relative = g.sub(g.unsqueeze(positions, 0), g.unsqueeze(positions, 1)); // [T, T], j − i
  const limit = g.scalar(distanceMax, 'int64');
  const index = g.add(g.clip(relative, g.scalar(-distanceMax, 'int64'), limit), limit);
  const bucketOf = g.int64s(
    Array.from({ length: 2 * distanceMax + 1 }, (_, i) =>
      relativeBucket(i - distanceMax, buckets, distanceMax),
    ),
  );
  const bias = g.gather(table, g.gather(bucketOf, index)); // [T, T, heads]
  return g.unsqueeze(g.transpose(bias, [2, 0, 1]), 0);
}

/**
 * Bucket of a relative position: half of the buckets for each direction, the first half of those exact, the rest
 * logarithmic up to the largest distance. Logarithms in float32, as the reference computes them.
 */
export function relativeBucket(relative: number, buckets: number, distanceMax: number): number {
  const { fround, log } = Math;
  const perDirection = buckets / 2;
  const exact = perDirection / 2;
  const base = relative > 0 ? perDirection : 0;
  const distance = Math.abs(relative);
  if (distance < exact) return base + distance;
  const ratio = fround(fround(log(fround(distance / exact))) / log(distanceMax / exact));
  const far = exact + Math.trunc(fround(ratio * (perDirection - exact)));
  return base + Math.min(far, perDirection - 1);
}
