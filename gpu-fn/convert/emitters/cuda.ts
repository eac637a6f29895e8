/**
 * Emitter for ONNX Runtime's CUDA provider: float16 activations and sums in float32 inside the kernels.
 *
 * Every operator has a CUDA kernel and one on the CPU, so the graphs load and run, slowly, without a GPU. Weights
 * are float16, or 8-bit in blocks of 32 (`int8`), with the same integers as on the CPU; activations are never
 * quantised. T5 keeps a float32 residual and a float32 `wo`, since its sums leave the range of float16.
 *
 * @see https://github.com/microsoft/onnxruntime/blob/main/docs/OperatorKernels.md, CUDAExecutionProvider
 */
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { blockSources, type FloatDtype, floatSource } from '../quantize.ts';
import type { WeightReader } from '../tensor-reader.ts';
import type { Prepared } from './emitter.ts';
import { FloatEmitter } from './float.ts';

/** The block of the weight-only kernels that default builds of the provider hold. */
const BLOCK_SIZE = 32;
/** The weight-only kernels want whole blocks and multiples of 32 outputs; small layers are not worth them. */
const FAN_IN_MIN = 64;

export class CudaEmitter extends FloatEmitter {
  readonly #weights: 'fp16' | 'int8';

  constructor({ weights }: { readonly weights: 'fp16' | 'int8' }) {
    super('float16');
    this.#weights = weights;
  }

  override linear(
    g: GraphBuilder,
    input: Prepared,
    weight: WeightReader,
    bias?: WeightReader,
  ): Value {
    const y = this.#product(g, input.x, weight);
    if (bias === undefined) return y;
    return g.add(y, g.initializer('bias', floatSource(bias, y.dtype as FloatDtype)));
  }

  /** `wo` of T5: float32 weights and sums. */
  override linearToResidual(g: GraphBuilder, x: Value, weight: WeightReader): Value {
    return this.preciseLinear(g, g.cast(x, 'float32'), weight);
  }

  /** One kernel for bias and GELU. */
  override linearGelu(
    g: GraphBuilder,
    input: Prepared,
    weight: WeightReader,
    bias: WeightReader,
  ): Value {
    const y = this.#product(g, input.x, weight);
    return g.fastGelu(y, g.initializer('bias', floatSource(bias, this.dtype)));
  }

  /** The operator that the provider has; opset 23's RMSNormalization is left to it to catch up. */
  override rmsNorm(g: GraphBuilder, x: Value, scale: WeightReader, epsilon: number): Value {
    return g.simplifiedLayerNormalization(
      x,
      g.initializer('weight', floatSource(scale, 'float32')),
      epsilon,
    );
  }

  #product(g: GraphBuilder, x: Value, weight: WeightReader): Value {
    const suits =
      weight.rowLength >= FAN_IN_MIN &&
      weight.rowLength % BLOCK_SIZE === 0 &&
      weight.rowCount % BLOCK_SIZE === 0;
    if (this.#weights === 'fp16' || !suits) return super.linear(g, { x }, weight);
    const { values, scales } = blockSources(weight, BLOCK_SIZE, this.dtype);
    return g.matMulNBits(
      x,
      g.initializer('weight', values),
      g.initializer('weight.scale', scales),
      BLOCK_SIZE,
    );
  }
}
