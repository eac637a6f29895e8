/**
 * 8-bit emitter for the CPU: uint8 activations × int8 weights, int32 sums.
 *
 * Linear layers quantise each token by its own largest magnitude, so one token with outliers does not coarsen the
 * others; x64 has a fast kernel for uint8 × int8 only, hence the zero point of 128. Convolutions quantise the whole
 * activation by its own range when it runs; their output range per channel comes from calibration.
 *
 * Layers that the checkpoint stores as int8 keep those integers. Small layers that steer everything (timestep
 * embedding, first and last projections) keep float activations and only store their weights in 8 bits.
 */
import type { TensorSource } from '../onnx/external-data.ts';
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { arraySource, floatSource, int8RowSources, int8TransposedSources } from '../quantize.ts';
import type { WeightReader } from '../tensor-reader.ts';
import type { ConvSpec, Prepared } from './emitter.ts';
import { FloatEmitter } from './float.ts';

/** What calibration saw of one convolution; ranges of a channel are symmetric. */
export interface ConvRange {
  /** largest |x| − smallest, as DynamicQuantizeLinear measures it: max(x, 0) − min(x, 0) */
  readonly input: number;
  /** largest |y| of each output channel, before the bias */
  readonly outputs: Float32Array;
}

/** By name of the weight. */
export type Calibration = ReadonlyMap<string, ConvRange>;

/** A row of zeros must not divide by zero. */
const SCALE_MIN = 1e-12;
/** Ranges of pictures that calibration did not see; less clips, more wastes bits (tried 1.1, 1.25, 1.4). */
const HEADROOM = 1.25;
const ZERO_POINT = 128;
/** Narrower convolutions are no faster in 8 bits, on CPUs with VNNI or without; see bench/convert-kernels.ts. */
const CONV_CHANNELS_MIN = 64;
/** Each convolution has its own: ONNX Runtime rewrites it together with the weight on CPUs without VNNI. */
const INT8_ZERO: TensorSource = { dtype: 'int8', shape: [], chunks: () => [Uint8Array.of(0)] };
/** Below this fan-in 8 bits save nothing; such weights stay floats. */
const FAN_IN_MIN = 64;

export class Int8CpuEmitter extends FloatEmitter {
  readonly #calibration: Calibration;

  constructor(calibration: Calibration = new Map()) {
    super('float32');
    this.#calibration = calibration;
  }

  override prepare(g: GraphBuilder, x: Value): Prepared {
    const rowAxis = x.shape.length - 2;
    // scale = max|x| / 127 of each row  // [1, S, 1]
    const largest = g.max(g.reduceMax(g.abs(x), [-1]), g.scalar(SCALE_MIN));
    const scales = g.mul(largest, g.scalar(1 / 127));
    const rows = x.shape[rowAxis]!;
    const zeroPoints = g.once(`zero points ${rows}`, () =>
      typeof rows === 'number'
        ? g.constant('uint8', [rows], Array<number>(rows).fill(ZERO_POINT))
        : g.repeated(g.scalar(ZERO_POINT, 'uint8'), x, rowAxis),
    );
    const values = g.quantizeLinear(x, g.reshape(scales, [rows]), zeroPoints, rowAxis);
    return { x, quantized: { values, scales } };
  }

  override linear(
    g: GraphBuilder,
    input: Prepared,
    weight: WeightReader,
    bias?: WeightReader,
  ): Value {
    const { quantized } = input;
    if (quantized === undefined || !worthQuantizing(weight))
      return super.linear(g, input, weight, bias);
    const { values, scales } = int8TransposedSources(weight);
    const product = g.matMulIntegerToFloat(
      quantized.values,
      g.initializer('weight', values),
      g.scalar(1),
      g.initializer('weight.scale', scales),
      g.scalar(ZERO_POINT, 'uint8'),
    );
    const y = g.mul(product, quantized.scales);
    return bias === undefined ? y : g.add(y, g.initializer('bias', floatSource(bias, 'float32')));
  }

  override preciseLinear(
    g: GraphBuilder,
    x: Value,
    weight: WeightReader,
    bias?: WeightReader,
  ): Value {
    if (!weight.isQuantized) return super.preciseLinear(g, x, weight, bias);
    const { values, scales } = int8TransposedSources(weight);
    const y = g.matMul(x, expanded(g, values, scales, [weight.rowCount]));
    return bias === undefined ? y : g.add(y, g.initializer('bias', floatSource(bias, 'float32')));
  }

  override embedding(g: GraphBuilder, ids: Value, table: WeightReader): Value {
    if (!worthQuantizing(table)) return super.embedding(g, ids, table);
    const { values, scales } = int8RowSources(table);
    const rows = g.cast(g.gather(g.initializer('weight', values), ids), 'float32'); // [B, T, D]
    const rowScales = g.gather(g.initializer('weight.scale', scales), ids); // [B, T]
    return g.mul(rows, g.unsqueeze(rowScales, rowScales.shape.length));
  }

  override conv(
    g: GraphBuilder,
    x: Value,
    weight: WeightReader,
    bias: WeightReader,
    spec: ConvSpec,
  ): Value {
    const range = this.#calibration.get(weight.name);
    if (range === undefined || !isInt8Conv(weight, spec)) {
      return this.#floatConv(g, x, weight, bias, spec);
    }
    const [values, inputScale, inputZeroPoint] = g.dynamicQuantizeLinear(x);
    const { outputScale, channelScales, relative } = outputScales(range);
    const { values: kernel, scales } = int8RowSources(weight);
    // An input beyond the calibrated range widens the output range by as much.
    const excess = g.max(g.mul(inputScale, g.scalar(255 / range.input)), g.scalar(1));
    const kernelScale = g.div(
      g.initializer('weight.scale', scales),
      g.initializer('output_relative_scale', arraySource(relative, [relative.length])),
    );
    const y = g.qLinearConv(
      {
        x: values,
        xScale: inputScale,
        xZeroPoint: inputZeroPoint,
        w: g.initializer('weight', kernel),
        wScale: kernelScale,
        wZeroPoint: g.initializer('weight.zero_point', INT8_ZERO),
        yScale: g.mul(excess, g.scalar(outputScale)),
        yZeroPoint: g.scalar(ZERO_POINT, 'uint8'),
      },
      spec,
    );
    const scaled = g.dequantizeLinear(
      y,
      g.mul(
        excess,
        g.initializer('output_scale', arraySource(channelScales, [channelScales.length])),
      ),
      g.constant(
        'uint8',
        [channelScales.length],
        Array<number>(channelScales.length).fill(ZERO_POINT),
      ),
      1,
    );
    const perChannel = [bias.rowCount, 1, 1];
    return g.add(scaled, g.initializer('bias', floatSource(bias, 'float32', perChannel)));
  }

  #floatConv(
    g: GraphBuilder,
    x: Value,
    weight: WeightReader,
    bias: WeightReader,
    spec: ConvSpec,
  ): Value {
    if (!weight.isQuantized) return super.conv(g, x, weight, bias, spec);
    const { values, scales } = int8RowSources(weight);
    const kernel = expanded(g, values, scales, [weight.rowCount, 1, 1, 1]);
    return g.conv(x, kernel, g.initializer('bias', floatSource(bias, 'float32')), spec);
  }
}

/**
 * float32 weights from 8-bit ones, folded when the graph is loaded. Not by DequantizeLinear: the rewrite of weights
 * for CPUs without VNNI gives that one a zero point that it refuses.
 */
function expanded(
  g: GraphBuilder,
  values: TensorSource,
  scales: TensorSource,
  scaleShape: readonly number[],
): Value {
  const floats = g.cast(g.initializer('weight', values), 'float32');
  return g.mul(floats, g.initializer('weight.scale', { ...scales, shape: scaleShape }));
}

/** Whether a convolution runs in 8 bits, and so needs calibration. */
export function isInt8Conv(weight: WeightReader, { precise }: ConvSpec): boolean {
  return !precise && weight.shape[1]! >= CONV_CHANNELS_MIN;
}

function worthQuantizing(weight: WeightReader): boolean {
  return weight.isQuantized || weight.rowLength >= FAN_IN_MIN;
}

/**
 * One scale for the kernel's output and one per channel beside it: dividing a channel's weight scale by its
 * relative range makes all channels fill the same eight bits, at no cost when it runs.
 */
function outputScales({ outputs }: ConvRange): {
  outputScale: number;
  /** float32 `[O]`: value = (q − 128) · channelScale */
  channelScales: Float32Array;
  /** float32 `[O]`: channelScale / outputScale */
  relative: Float32Array;
} {
  const largest = Math.max(...outputs, SCALE_MIN);
  const outputScale = Math.fround((largest * HEADROOM) / 127);
  // A channel that calibration hardly saw keeps a thousandth of the largest range.
  const relative = outputs.map((range) => Math.max(range / largest, 1e-3));
  return { outputScale, channelScales: relative.map((r) => r * outputScale), relative };
}
