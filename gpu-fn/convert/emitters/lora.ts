/**
 * Adds low-rank updates to the layers of any emitter: y + (x·A)·B, with A and B as inputs of the graph.
 *
 * The weights stay what they are, in whatever precision, so adapters are switched, mixed and scaled by feeding other
 * matrices: nothing is merged, quantised again or reloaded. Layers name their inputs after the module that they adapt:
 *
 * | input             | linear layer       | convolution             |
 * |-------------------|--------------------|-------------------------|
 * | `<module>.lora_A` | float32 `[in, r]`  | float32 `[r, in, k, k]` |
 * | `<module>.lora_B` | float32 `[r, out]` | float32 `[out, r, 1, 1]`|
 *
 * @see Hu et al. 2021, LoRA (arXiv:2106.09685)
 */
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import type { WeightReader } from '../tensor-reader.ts';
import type { ConvSpec, Emitter, GroupNormSpec, Prepared } from './emitter.ts';

const WEIGHT_SUFFIX = '.weight';

export class LoraEmitter implements Emitter {
  readonly #base: Emitter;

  constructor(base: Emitter) {
    this.#base = base;
  }

  get dtype(): Emitter['dtype'] {
    return this.#base.dtype;
  }

  prepare(g: GraphBuilder, x: Value): Prepared {
    return this.#base.prepare(g, x);
  }

  linear(g: GraphBuilder, input: Prepared, weight: WeightReader, bias?: WeightReader): Value {
    const y = this.#base.linear(g, input, weight, bias);
    return g.add(y, update(g, input.x, weight));
  }

  preciseLinear(g: GraphBuilder, x: Value, weight: WeightReader, bias?: WeightReader): Value {
    const y = this.#base.preciseLinear(g, x, weight, bias);
    return g.add(y, update(g, x, weight));
  }

  /** Inside T5, which no adapter of a transformer reaches. */
  linearToResidual(g: GraphBuilder, x: Value, weight: WeightReader): Value {
    return this.#base.linearToResidual(g, x, weight);
  }

  linearGelu(g: GraphBuilder, input: Prepared, weight: WeightReader, bias: WeightReader): Value {
    return g.geluTanh(this.linear(g, input, weight, bias));
  }

  rmsNorm(g: GraphBuilder, x: Value, scale: WeightReader, epsilon: number): Value {
    return this.#base.rmsNorm(g, x, scale, epsilon);
  }

  embedding(g: GraphBuilder, ids: Value, table: WeightReader): Value {
    return this.#base.embedding(g, ids, table);
  }

  conv(g: GraphBuilder, x: Value, weight: WeightReader, bias: WeightReader, spec: ConvSpec): Value {
    const y = this.#base.conv(g, x, weight, bias, spec);
    const [outputs, inputs, height, width] = weight.shape as readonly [
      number,
      number,
      number,
      number,
    ];
    const { module, rank } = adapted(weight);
    const a = g.input(`${module}.lora_A`, 'float32', [rank, inputs, height, width]);
    const b = g.input(`${module}.lora_B`, 'float32', [outputs, rank, 1, 1]);
    const down = g.conv(x, g.cast(a, x.dtype), undefined, spec);
    return g.add(y, g.conv(down, g.cast(b, x.dtype), undefined));
  }

  groupNorm(g: GraphBuilder, x: Value, spec: GroupNormSpec): Value {
    return this.#base.groupNorm(g, x, spec);
  }
}

/** (x·A)·B */
function update(g: GraphBuilder, x: Value, weight: WeightReader): Value {
  const { module, rank } = adapted(weight);
  const a = g.input(`${module}.lora_A`, 'float32', [weight.rowLength, rank]);
  const b = g.input(`${module}.lora_B`, 'float32', [rank, weight.rowCount]);
  return g.matMul(g.matMul(x, g.cast(a, x.dtype)), g.cast(b, x.dtype));
}

function adapted({ name }: WeightReader): { module: string; rank: string } {
  if (!name.endsWith(WEIGHT_SUFFIX)) throw new RangeError(`${name} is no weight of a module`);
  const module = name.slice(0, -WEIGHT_SUFFIX.length);
  return { module, rank: `${module}.rank` };
}
