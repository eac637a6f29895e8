/**
 * A float32 emitter that also tells the range of every convolution that could run in 8 bits.
 */
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { floatSource } from '../quantize.ts';
import type { WeightReader } from '../tensor-reader.ts';
import type { ConvSpec } from './emitter.ts';
import { FloatEmitter } from './float.ts';
import { isInt8Conv } from './int8-cpu.ts';

export class CalibrationEmitter extends FloatEmitter {
  readonly #names: string[] = [];

  /** Weights of the observed convolutions: each has outputs `<name>/input` and `<name>/outputs`. */
  get observed(): readonly string[] {
    return this.#names;
  }

  override conv(
    g: GraphBuilder,
    x: Value,
    weight: WeightReader,
    bias: WeightReader,
    spec: ConvSpec,
  ): Value {
    if (!isInt8Conv(weight, spec)) return super.conv(g, x, weight, bias, spec);
    const y = g.conv(x, g.initializer('weight', floatSource(weight, 'float32')), undefined, spec);
    this.#names.push(weight.name);
    // −max(−x, 0) … max(x, 0)
    const zero = g.scalar(0);
    const above = g.max(g.reduceMax(x, [0, 1, 2, 3]), zero);
    const below = g.max(g.reduceMax(g.mul(x, g.scalar(-1)), [0, 1, 2, 3]), zero);
    g.output(`${weight.name}/input`, g.reshape(g.add(above, below), [1]));
    const largest = g.reduceMax(g.abs(y), [0, 2, 3]);
    g.output(`${weight.name}/outputs`, g.reshape(largest, [weight.rowCount]));
    return g.add(y, g.initializer('bias', floatSource(bias, 'float32', [bias.rowCount, 1, 1])));
  }
}
