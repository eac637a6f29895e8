/** The reference emitter: everything in float32, or in float16 where a subclass says so. */
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { divideDim, multiplyDims } from '../onnx/shape.ts';
import { type FloatDtype, floatSource, transposedSource } from '../quantize.ts';
import type { WeightReader } from '../tensor-reader.ts';
import type { ConvSpec, Emitter, GroupNormSpec, Prepared } from './emitter.ts';

export class FloatEmitter implements Emitter {
  readonly dtype: FloatDtype;

  constructor(dtype: FloatDtype = 'float32') {
    this.dtype = dtype;
  }

  prepare(_g: GraphBuilder, x: Value): Prepared {
    return { x };
  }

  linear(g: GraphBuilder, { x }: Prepared, weight: WeightReader, bias?: WeightReader): Value {
    const y = g.matMul(x, g.initializer('weight', transposedSource(weight, x.dtype as FloatDtype)));
    return bias === undefined ? y : g.add(y, this.#floatVector(g, bias, y));
  }

  preciseLinear(g: GraphBuilder, x: Value, weight: WeightReader, bias?: WeightReader): Value {
    const y = g.matMul(x, g.initializer('weight', transposedSource(weight, 'float32')));
    return bias === undefined ? y : g.add(y, this.#floatVector(g, bias, y));
  }

  linearToResidual(g: GraphBuilder, x: Value, weight: WeightReader): Value {
    return g.cast(this.linear(g, this.prepare(g, x), weight), 'float32');
  }

  linearGelu(g: GraphBuilder, input: Prepared, weight: WeightReader, bias: WeightReader): Value {
    return g.geluTanh(this.linear(g, input, weight, bias));
  }

  rmsNorm(g: GraphBuilder, x: Value, scale: WeightReader, epsilon: number): Value {
    return g.rmsNormalization(x, g.initializer('weight', floatSource(scale, 'float32')), epsilon);
  }

  embedding(g: GraphBuilder, ids: Value, table: WeightReader): Value {
    return g.cast(
      g.gather(g.initializer('weight', floatSource(table, this.dtype)), ids),
      'float32',
    );
  }

  conv(g: GraphBuilder, x: Value, weight: WeightReader, bias: WeightReader, spec: ConvSpec): Value {
    return g.conv(
      x,
      g.initializer('weight', floatSource(weight, this.dtype)),
      g.initializer('bias', floatSource(bias, this.dtype)),
      spec,
    );
  }

  /**
   * Groups become the channels of an instance norm, which has the fastest kernel on the CPU.
   */
  groupNorm(
    g: GraphBuilder,
    x: Value,
    { weight, bias, groups, epsilon, silu }: GroupNormSpec,
  ): Value {
    const [batch, channels, height, width] = x.shape as readonly [number, number, number, number];
    const grouped = g.reshape(x, [
      batch,
      groups,
      divideDim(multiplyDims(channels, height, width), groups)!,
    ]);
    const ones = g.constant(x.dtype, [groups], Array<number>(groups).fill(1));
    const zeros = g.constant(x.dtype, [groups], Array<number>(groups).fill(0));
    const normalized = g.reshapeLike(g.instanceNormalization(grouped, ones, zeros, epsilon), x);
    const perChannel = [channels, 1, 1];
    const scaled = g.mul(
      normalized,
      g.initializer('weight', floatSource(weight, this.dtype, perChannel)),
    );
    const y = g.add(scaled, g.initializer('bias', floatSource(bias, this.dtype, perChannel)));
    return silu ? g.silu(y) : y;
  }

  #floatVector(g: GraphBuilder, bias: WeightReader, like: Value): Value {
    return g.initializer('bias', floatSource(bias, like.dtype as FloatDtype));
  }
}
