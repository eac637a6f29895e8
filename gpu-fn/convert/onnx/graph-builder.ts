/**
 * Operators with their shape rules: every call checks its inputs, infers its output and throws `ShapeError`
 * with the node's name when they disagree. Shapes of graph code are therefore checked when it is built.
 *
 * Versions: standard operators of opset 23, `com.microsoft` 1.
 *
 * @see https://onnx.ai/onnx/operators/
 * @see https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
 */
import type { Dtype } from './dtype.ts';
import { MICROSOFT, NodeBuilder, type Value } from './node-builder.ts';
import {
  broadcastShapes,
  type Dim,
  divideDim,
  multiplyDims,
  type Shape,
  sameShape,
  shapeText,
  slideDim,
} from './shape.ts';
import type { Attribute } from './writer.ts';

export type { Value } from './node-builder.ts';

export interface ConvOptions {
  readonly stride?: number;
  /** top, left, bottom, right */
  readonly pads?: readonly [number, number, number, number];
}

export interface QLinearConvInputs {
  readonly x: Value;
  readonly xScale: Value;
  readonly xZeroPoint: Value;
  readonly w: Value;
  readonly wScale: Value;
  readonly wZeroPoint: Value;
  readonly yScale: Value;
  readonly yZeroPoint: Value;
  /** int32 `[O]` in units of xScale·wScale */
  readonly bias?: Value | undefined;
}

const int = (value: number): Attribute => ({ type: 'int', value });
const float = (value: number): Attribute => ({ type: 'float', value });
const text = (value: string): Attribute => ({ type: 'string', value });
const ints = (value: readonly number[]): Attribute => ({ type: 'ints', value });

export class GraphBuilder extends NodeBuilder {
  /** The same graph, with names below `path`. */
  scope(path: string): GraphBuilder {
    return new GraphBuilder('', {
      state: this,
      path: this.path === '' ? path : `${this.path}.${path}`,
    });
  }

  add(a: Value, b: Value): Value {
    return this.#binary('Add', a, b);
  }

  sub(a: Value, b: Value): Value {
    return this.#binary('Sub', a, b);
  }

  mul(a: Value, b: Value): Value {
    return this.#binary('Mul', a, b);
  }

  div(a: Value, b: Value): Value {
    return this.#binary('Div', a, b);
  }

  max(a: Value, b: Value): Value {
    return this.#binary('Max', a, b);
  }

  abs(x: Value): Value {
    return this.#unary('Abs', x);
  }

  cos(x: Value): Value {
    return this.#unary('Cos', x);
  }

  sin(x: Value): Value {
    return this.#unary('Sin', x);
  }

  /** Rounds half to even. */
  round(x: Value): Value {
    return this.#unary('Round', x);
  }

  sigmoid(x: Value): Value {
    return this.#unary('Sigmoid', x);
  }

  relu(x: Value): Value {
    return this.#unary('Relu', x);
  }

  /** x · sigmoid(x); ONNX Runtime fuses the pair. */
  silu(x: Value): Value {
    return this.mul(x, this.sigmoid(x));
  }

  /** 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) */
  geluTanh(x: Value): Value {
    return this.single(
      { opType: 'Gelu', inputs: [x], attributes: { approximate: text('tanh') } },
      x.dtype,
      x.shape,
    );
  }

  /** geluTanh(x + bias) in one kernel. */
  fastGelu(x: Value, bias: Value): Value {
    this.expectShape('FastGelu', bias, [this.dimOf('FastGelu', x, -1)]);
    return this.single(
      { opType: 'FastGelu', domain: MICROSOFT, inputs: [x, bias] },
      x.dtype,
      x.shape,
    );
  }

  clip(x: Value, min: Value, max: Value): Value {
    return this.single({ opType: 'Clip', inputs: [x, min, max] }, x.dtype, x.shape);
  }

  cast(x: Value, dtype: Dtype): Value {
    if (x.dtype === dtype) return x;
    const codes = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 };
    return this.single(
      { opType: 'Cast', inputs: [x], attributes: { to: int(codes[dtype]) } },
      dtype,
      x.shape,
    );
  }

  /** `[…, M, K] × […, K, N]` → `[…, M, N]` */
  matMul(a: Value, b: Value): Value {
    if (a.dtype !== b.dtype) this.fail('MatMul', `${a.dtype} × ${b.dtype}`);
    return this.single(
      { opType: 'MatMul', inputs: [a, b] },
      a.dtype,
      this.#productShape('MatMul', a, b),
    );
  }

  /**
   * uint8 × int8 → float32: (A − zero)·B · aScale · bScale, int32 sums.
   *
   * @param a       uint8 `[…, M, K]`; signed activations have no fast kernel on x64
   * @param b       int8 `[K, N]`
   * @param bScale  float32 `[N]`
   */
  matMulIntegerToFloat(a: Value, b: Value, aScale: Value, bScale: Value, aZeroPoint: Value): Value {
    const opType = 'MatMulIntegerToFloat';
    this.expectDtype(opType, a, 'uint8');
    this.expectDtype(opType, b, 'int8');
    this.expectShape(opType, bScale, [this.dimOf(opType, b, -1)]);
    return this.single(
      { opType, domain: MICROSOFT, inputs: [a, b, aScale, bScale, aZeroPoint] },
      'float32',
      this.#productShape(opType, a, b),
    );
  }

  /**
   * x `[…, K]` times an 8-bit matrix kept in blocks along K.
   *
   * @param b       uint8 `[N, ⌈K / blockSize⌉, blockSize]`, zero point 128
   * @param scales  `[N, ⌈K / blockSize⌉]` of x's dtype
   */
  matMulNBits(x: Value, b: Value, scales: Value, blockSize: number): Value {
    const opType = 'MatMulNBits';
    this.expectRank(opType, b, 3);
    const [n, blocks] = b.shape as readonly number[];
    const k = this.dimOf(opType, x, -1);
    if (typeof k !== 'number' || Math.ceil(k / blockSize) !== blocks)
      this.fail(opType, `${shapeText(x.shape)} × ${shapeText(b.shape)}`);
    this.expectShape(opType, scales, [n!, blocks!]);
    return this.single(
      {
        opType,
        domain: MICROSOFT,
        inputs: [x, b, scales],
        attributes: { K: int(k), N: int(n!), bits: int(8), block_size: int(blockSize) },
      },
      x.dtype,
      [...x.shape.slice(0, -1), n!],
    );
  }

  /** @param axis  with a vector of scales, the axis it runs along */
  quantizeLinear(x: Value, scale: Value, zeroPoint: Value, axis?: number): Value {
    this.#checkScale('QuantizeLinear', x, scale, axis);
    return this.single(
      {
        opType: 'QuantizeLinear',
        inputs: [x, scale, zeroPoint],
        attributes: { axis: axis === undefined ? undefined : int(axis) },
      },
      zeroPoint.dtype,
      x.shape,
    );
  }

  /** uint8 over the range of x, zero included: values, scale `[]`, zero point `[]`. */
  dynamicQuantizeLinear(x: Value): [values: Value, scale: Value, zeroPoint: Value] {
    this.expectDtype('DynamicQuantizeLinear', x, 'float32');
    const [values, scale, zeroPoint] = this.node({
      opType: 'DynamicQuantizeLinear',
      inputs: [x],
      outputs: [
        { dtype: 'uint8', shape: x.shape },
        { dtype: 'float32', shape: [] },
        { dtype: 'uint8', shape: [] },
      ],
    });
    return [values!, scale!, zeroPoint!];
  }

  /** @param zeroPoint  of x's dtype and the scale's shape; zero when left out */
  dequantizeLinear(x: Value, scale: Value, zeroPoint?: Value, axis?: number): Value {
    this.#checkScale('DequantizeLinear', x, scale, axis);
    return this.single(
      {
        opType: 'DequantizeLinear',
        inputs: zeroPoint === undefined ? [x, scale] : [x, scale, zeroPoint],
        attributes: { axis: axis === undefined ? undefined : int(axis) },
      },
      scale.dtype,
      x.shape,
    );
  }

  /** x `[B, C, H, W]`, w `[O, C, kh, kw]`, bias `[O]` */
  conv(x: Value, w: Value, bias: Value | undefined, options: ConvOptions = {}): Value {
    if (bias !== undefined) this.expectShape('Conv', bias, [this.dimOf('Conv', w, 0)]);
    return this.single(
      {
        opType: 'Conv',
        inputs: bias === undefined ? [x, w] : [x, w, bias],
        attributes: convAttributes(w, options),
      },
      x.dtype,
      this.#convShape('Conv', x, w, options),
    );
  }

  /** uint8 × int8 → uint8 convolution; the weight's scale is per output channel. */
  qLinearConv(inputs: QLinearConvInputs, options: ConvOptions = {}): Value {
    const { x, w, bias } = inputs;
    const opType = 'QLinearConv';
    this.expectDtype(opType, x, 'uint8');
    this.expectDtype(opType, w, 'int8');
    this.expectShape(opType, inputs.wScale, [this.dimOf(opType, w, 0)]);
    const list = [
      x,
      inputs.xScale,
      inputs.xZeroPoint,
      w,
      inputs.wScale,
      inputs.wZeroPoint,
      inputs.yScale,
      inputs.yZeroPoint,
    ];
    return this.single(
      {
        opType,
        inputs: bias === undefined ? list : [...list, bias],
        attributes: convAttributes(w, options),
      },
      'uint8',
      this.#convShape(opType, x, w, options),
    );
  }

  /** Over the last axis; scale and bias `[…, C]` broadcast against x and may be computed. */
  layerNormalization(x: Value, scale: Value, bias: Value, epsilon: number): Value {
    const opType = 'LayerNormalization';
    for (const vector of [scale, bias]) {
      if (this.dimOf(opType, vector, -1) !== this.dimOf(opType, x, -1)) {
        this.fail(opType, `${shapeText(vector.shape)} does not fit ${shapeText(x.shape)}`);
      }
    }
    return this.single(
      { opType, inputs: [x, scale, bias], attributes: { axis: int(-1), epsilon: float(epsilon) } },
      x.dtype,
      x.shape,
    );
  }

  /** scale ⊙ x · (mean(x²) + epsilon)^−½ over the last axis. */
  rmsNormalization(x: Value, scale: Value, epsilon: number): Value {
    const opType = 'RMSNormalization';
    this.expectShape(opType, scale, [this.dimOf(opType, x, -1)]);
    return this.single(
      { opType, inputs: [x, scale], attributes: { axis: int(-1), epsilon: float(epsilon) } },
      x.dtype,
      x.shape,
    );
  }

  /** The same under the name that ONNX Runtime had for it before the standard did. */
  simplifiedLayerNormalization(x: Value, scale: Value, epsilon: number): Value {
    const opType = 'SimplifiedLayerNormalization';
    this.expectShape(opType, scale, [this.dimOf(opType, x, -1)]);
    return this.single(
      { opType, inputs: [x, scale], attributes: { axis: int(-1), epsilon: float(epsilon) } },
      x.dtype,
      x.shape,
    );
  }

  /** x `[B, C, …]` normalised per channel. */
  instanceNormalization(x: Value, scale: Value, bias: Value, epsilon: number): Value {
    const opType = 'InstanceNormalization';
    this.expectShape(opType, scale, [this.dimOf(opType, x, 1)]);
    this.expectShape(opType, bias, [this.dimOf(opType, x, 1)]);
    return this.single(
      { opType, inputs: [x, scale, bias], attributes: { epsilon: float(epsilon) } },
      x.dtype,
      x.shape,
    );
  }

  /**
   * softmax(q·kᵀ·scale + bias)·v with heads side by side in the last axis.
   *
   * @param q     `[B, S, heads·d]`
   * @param k     `[B, T, heads·d]`
   * @param v     `[B, T, heads·d]`
   * @param bias  `[1 or B, heads, S, T]`, added to the scores
   */
  multiHeadAttention(
    { q, k, v, bias }: { q: Value; k: Value; v: Value; bias?: Value },
    { heads, scale }: { heads: number; scale: number },
  ): Value {
    const opType = 'MultiHeadAttention';
    for (const value of [q, k, v]) this.expectRank(opType, value, 3);
    const [batch, length, width] = q.shape as readonly [Dim, Dim, Dim];
    const keys = this.dimOf(opType, k, 1);
    this.expectShape(opType, k, [batch, keys, width]);
    this.expectShape(opType, v, [batch, keys, width]);
    if (divideDim(width, heads) === undefined) this.fail(opType, `${heads} heads of ${width}`);
    if (bias !== undefined) this.expectShape(opType, bias, [1, heads, length, keys]);
    return this.single(
      {
        opType,
        domain: MICROSOFT,
        inputs: bias === undefined ? [q, k, v] : [q, k, v, undefined, undefined, bias],
        attributes: { num_heads: int(heads), scale: float(scale) },
      },
      q.dtype,
      [batch, length, width],
    );
  }

  softmax(x: Value): Value {
    return this.single(
      { opType: 'Softmax', inputs: [x], attributes: { axis: int(-1) } },
      x.dtype,
      x.shape,
    );
  }

  /** Largest element along `axes`, which stay with size 1. */
  reduceMax(x: Value, axes: readonly number[]): Value {
    const reduced = axes.map((axis) => this.axisOf('ReduceMax', x, axis));
    return this.single(
      { opType: 'ReduceMax', inputs: [x, this.int64s(reduced)], attributes: { keepdims: int(1) } },
      x.dtype,
      x.shape.map((dim, axis) => (reduced.includes(axis) ? 1 : dim)),
    );
  }

  transpose(x: Value, perm: readonly number[]): Value {
    if (
      perm.toSorted((a, b) => a - b).some((axis, i) => axis !== i) ||
      perm.length !== x.shape.length
    ) {
      this.fail('Transpose', `[${perm.join(', ')}] does not permute ${shapeText(x.shape)}`);
    }
    return this.single(
      { opType: 'Transpose', inputs: [x], attributes: { perm: ints(perm) } },
      x.dtype,
      perm.map((axis) => x.shape[axis]!),
    );
  }

  /**
   * @param sizesFrom  values whose axes give the sizes of `shape` that x does not, when more than one is symbolic
   */
  reshape(x: Value, shape: Shape, sizesFrom: readonly Value[] = []): Value {
    if (multiplyDims(...x.shape) !== multiplyDims(...shape)) {
      this.fail(
        'Reshape',
        `${shapeText(x.shape)} does not hold as many elements as ${shapeText(shape)}`,
      );
    }
    const sizes = shape.map((dim, axis) =>
      typeof dim === 'number' ? dim : dim === x.shape[axis] ? 0 : -1,
    );
    const target =
      sizes.filter((size) => size === -1).length <= 1
        ? this.int64s(sizes)
        : this.concat(
            shape.map((dim) =>
              typeof dim === 'number' ? this.int64s([dim]) : this.#sizeOf(dim, [x, ...sizesFrom]),
            ),
            0,
          );
    return this.single({ opType: 'Reshape', inputs: [x, target] }, x.dtype, shape);
  }

  /** x in the shape of `like`, which has as many elements. */
  reshapeLike(x: Value, like: Value): Value {
    if (like.shape.every((dim) => typeof dim === 'number')) return this.reshape(x, like.shape);
    if (multiplyDims(...x.shape) !== multiplyDims(...like.shape)) {
      this.fail('Reshape', `${shapeText(x.shape)} and ${shapeText(like.shape)} differ in size`);
    }
    const sizes = this.once(`shape of ${like.name}`, () =>
      this.single({ opType: 'Shape', inputs: [like] }, 'int64', [like.shape.length]),
    );
    return this.single({ opType: 'Reshape', inputs: [x, sizes] }, x.dtype, like.shape);
  }

  /** Equal parts along `axis`. */
  split(x: Value, axis: number, count: number): Value[] {
    const positive = this.axisOf('Split', x, axis);
    const size = divideDim(x.shape[positive]!, count);
    if (size === undefined)
      this.fail('Split', `axis ${axis} of ${shapeText(x.shape)} into ${count}`);
    const shape = x.shape.map((dim, i) => (i === positive ? size : dim));
    return this.node({
      opType: 'Split',
      inputs: [x],
      outputs: Array.from({ length: count }, () => ({ dtype: x.dtype, shape })),
      attributes: { axis: int(positive), num_outputs: int(count) },
    });
  }

  /** All sizes along `axis` are numbers, or there is one value. */
  concat(values: readonly Value[], axis: number): Value {
    const [first] = values;
    if (first === undefined) this.fail('Concat', 'nothing to join');
    const positive = this.axisOf('Concat', first, axis);
    let size = 0;
    for (const value of values) {
      const dim = this.dimOf('Concat', value, positive);
      const others = value.shape.map((d, i) => (i === positive ? 0 : d));
      if (
        typeof dim !== 'number' ||
        value.dtype !== first.dtype ||
        !sameShape(
          others,
          first.shape.map((d, i) => (i === positive ? 0 : d)),
        )
      ) {
        this.fail(
          'Concat',
          `${shapeText(value.shape)} beside ${shapeText(first.shape)} along ${axis}`,
        );
      }
      size += dim;
    }
    return this.single(
      { opType: 'Concat', inputs: values, attributes: { axis: int(positive) } },
      first.dtype,
      first.shape.map((dim, i) => (i === positive ? size : dim)),
    );
  }

  /** Rows of `data` along axis 0: `[N, …rest]` by indices `[…i]` → `[…i, …rest]`. */
  gather(data: Value, indices: Value): Value {
    this.expectDtype('Gather', indices, 'int64', 'int32');
    return this.single(
      { opType: 'Gather', inputs: [data, indices], attributes: { axis: int(0) } },
      data.dtype,
      [...indices.shape, ...data.shape.slice(1)],
    );
  }

  unsqueeze(x: Value, axis: number): Value {
    return this.single(
      { opType: 'Unsqueeze', inputs: [x, this.int64s([axis])] },
      x.dtype,
      x.shape.toSpliced(axis, 0, 1),
    );
  }

  /** 0, 1, … up to the size of axis `axis` of x: int64 `[size]`. */
  rangeOf(x: Value, axis: number): Value {
    const dim = this.dimOf('Range', x, axis);
    const limit = this.reshape(this.#sizeOf(dim, [x]), []);
    return this.single(
      { opType: 'Range', inputs: [this.scalar(0, 'int64'), limit, this.scalar(1, 'int64')] },
      'int64',
      [dim],
    );
  }

  /** `value` repeated to a vector as long as axis `axis` of x. */
  repeated(value: Value, x: Value, axis: number): Value {
    const dim = this.dimOf('Expand', x, axis);
    return this.single({ opType: 'Expand', inputs: [value, this.#sizeOf(dim, [x])] }, value.dtype, [
      dim,
    ]);
  }

  /** Nearest-neighbour enlargement of `[B, C, H, W]` by 2. */
  upsampleNearest2(x: Value): Value {
    this.expectRank('Resize', x, 4);
    const [batch, channels, height, width] = x.shape as readonly [Dim, Dim, Dim, Dim];
    return this.single(
      {
        opType: 'Resize',
        inputs: [x, undefined, this.constant('float32', [4], [1, 1, 2, 2])],
        attributes: {
          mode: text('nearest'),
          coordinate_transformation_mode: text('asymmetric'),
          nearest_mode: text('floor'),
        },
      },
      x.dtype,
      [batch, channels, multiplyDims(2, height), multiplyDims(2, width)],
    );
  }

  /** Bilinear enlargement of `[B, C, H, W]` by a whole factor, half-pixel centres. */
  upsampleLinear(x: Value, factor: number): Value {
    if (factor === 1) return x;
    this.expectRank('Resize', x, 4);
    const [batch, channels, height, width] = x.shape as readonly [Dim, Dim, Dim, Dim];
    return this.single(
      {
        opType: 'Resize',
        inputs: [x, undefined, this.constant('float32', [4], [1, 1, factor, factor])],
        attributes: {
          mode: text('linear'),
          coordinate_transformation_mode: text('half_pixel'),
        },
      },
      x.dtype,
      [batch, channels, multiplyDims(factor, height), multiplyDims(factor, width)],
    );
  }

  /** Largest of each 2 × 2 square of `[B, C, H, W]`. */
  maxPool2(x: Value): Value {
    this.expectRank('MaxPool', x, 4);
    const [batch, channels, height, width] = x.shape as readonly [Dim, Dim, Dim, Dim];
    const rows = divideDim(height, 2);
    const columns = divideDim(width, 2);
    if (rows === undefined || columns === undefined) {
      this.fail('MaxPool', `${shapeText(x.shape)} in squares of 2`);
    }
    return this.single(
      {
        opType: 'MaxPool',
        inputs: [x],
        attributes: { kernel_shape: ints([2, 2]), strides: ints([2, 2]) },
      },
      x.dtype,
      [batch, channels, rows, columns],
    );
  }

  /** `[B, block²·C, H, W]` → `[B, C, H·block, W·block]`; channel index = (p·block + q)·C + c. */
  depthToSpace(x: Value, block: number): Value {
    this.expectRank('DepthToSpace', x, 4);
    const [batch, channels, height, width] = x.shape as readonly [Dim, Dim, Dim, Dim];
    const depth = divideDim(channels, block * block);
    if (depth === undefined) this.fail('DepthToSpace', `${shapeText(x.shape)} by ${block}`);
    return this.single(
      {
        opType: 'DepthToSpace',
        inputs: [x],
        attributes: { blocksize: int(block), mode: text('DCR') },
      },
      x.dtype,
      [batch, depth, multiplyDims(block, height), multiplyDims(block, width)],
    );
  }

  #unary(opType: string, x: Value): Value {
    return this.single({ opType, inputs: [x] }, x.dtype, x.shape);
  }

  #binary(opType: string, a: Value, b: Value): Value {
    if (a.dtype !== b.dtype) this.fail(opType, `${a.name} ${a.dtype} and ${b.name} ${b.dtype}`);
    const shape = broadcastShapes(a.shape, b.shape);
    if (shape === undefined) {
      this.fail(opType, `${a.name} ${shapeText(a.shape)} and ${b.name} ${shapeText(b.shape)}`);
    }
    return this.single({ opType, inputs: [a, b] }, a.dtype, shape);
  }

  #productShape(opType: string, a: Value, b: Value): Dim[] {
    const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
    if (
      a.shape.at(-1) !== b.shape.at(-2) ||
      batch === undefined ||
      a.shape.length < 2 ||
      b.shape.length < 2
    ) {
      this.fail(opType, `${shapeText(a.shape)} × ${shapeText(b.shape)}`);
    }
    return [...batch, a.shape.at(-2)!, b.shape.at(-1)!];
  }

  #convShape(
    opType: string,
    x: Value,
    w: Value,
    { stride = 1, pads = [0, 0, 0, 0] }: ConvOptions,
  ): Dim[] {
    this.expectRank(opType, x, 4);
    this.expectRank(opType, w, 4);
    const [batch, channels, height, width] = x.shape as readonly [Dim, Dim, Dim, Dim];
    const [out, input, kernelHeight, kernelWidth] = w.shape as readonly number[];
    const rows = slideDim(height, { window: kernelHeight!, padding: pads[0] + pads[2], stride });
    const columns = slideDim(width, { window: kernelWidth!, padding: pads[1] + pads[3], stride });
    if (channels !== input || rows === undefined || columns === undefined) {
      this.fail(opType, `${shapeText(x.shape)} by ${shapeText(w.shape)}, stride ${stride}`);
    }
    return [batch, out!, rows, columns];
  }

  #checkScale(opType: string, x: Value, scale: Value, axis: number | undefined): void {
    this.expectShape(opType, scale, axis === undefined ? [] : [this.dimOf(opType, x, axis)]);
  }

  /** int64 `[1]`: the size `dim`, read from the first of `values` that has such an axis. */
  #sizeOf(dim: Dim, values: readonly Value[]): Value {
    if (typeof dim === 'number') return this.int64s([dim]);
    for (const value of values) {
      const axis = value.shape.indexOf(dim);
      if (axis < 0) continue;
      return this.single(
        { opType: 'Shape', inputs: [value], attributes: { start: int(axis), end: int(axis + 1) } },
        'int64',
        [1],
      );
    }
    return this.fail('Shape', `no value has an axis of size ${dim}`);
  }
}

function convAttributes(w: Value, { stride = 1, pads = [0, 0, 0, 0] }: ConvOptions) {
  return {
    kernel_shape: ints(w.shape.slice(2) as number[]),
    strides: ints([stride, stride]),
    pads: ints(pads),
  };
}
