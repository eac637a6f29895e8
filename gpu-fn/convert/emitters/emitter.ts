/**
 * How a target computes the parts that differ between targets: linear layers, convolutions, norms, embeddings.
 *
 * A model is described once in `graphs/`; an emitter turns each part of the description into nodes. The float32
 * emitter is the reference that the others are tested against.
 */
import type { ConvOptions, GraphBuilder, Value } from '../onnx/graph-builder.ts';
import type { FloatDtype } from '../quantize.ts';
import type { WeightReader } from '../tensor-reader.ts';

/** An activation made ready for linear layers, so that q, k and v share the work. */
export interface Prepared {
  /** `[…, S, K]` */
  readonly x: Value;
  /** What the emitter's own `prepare` added. */
  readonly quantized?: { readonly values: Value; readonly scales: Value };
}

export interface ConvSpec extends ConvOptions {
  /** Convolutions next to latents, pixels or the residual path stay in floating point. */
  readonly precise: boolean;
}

export interface GroupNormSpec {
  readonly weight: WeightReader;
  readonly bias: WeightReader;
  readonly groups: number;
  readonly epsilon: number;
  readonly silu: boolean;
}

export interface Emitter {
  /** dtype of activations inside the graphs; inputs and outputs that JavaScript touches are float32 */
  readonly dtype: FloatDtype;

  prepare(g: GraphBuilder, x: Value): Prepared;
  /** x `[…, S, K]` · weightᵀ `[N, K]` + bias `[N]` */
  linear(g: GraphBuilder, input: Prepared, weight: WeightReader, bias?: WeightReader): Value;
  /** The same with float32 activations whatever the target: for small layers that steer everything. */
  preciseLinear(g: GraphBuilder, x: Value, weight: WeightReader, bias?: WeightReader): Value;
  /** linear(x) in float32, for a residual stream whose sums leave the range of float16 (T5). */
  linearToResidual(g: GraphBuilder, x: Value, weight: WeightReader): Value;
  /** geluTanh(linear(x)) */
  linearGelu(g: GraphBuilder, input: Prepared, weight: WeightReader, bias: WeightReader): Value;
  /** scale ⊙ x · (mean(x²) + epsilon)^−½ over the last axis, x and the result float32. */
  rmsNorm(g: GraphBuilder, x: Value, scale: WeightReader, epsilon: number): Value;
  /** Rows of the table by ids `[B, T]` → `[B, T, D]`, in the dtype of the T5 residual. */
  embedding(g: GraphBuilder, ids: Value, table: WeightReader): Value;
  conv(g: GraphBuilder, x: Value, weight: WeightReader, bias: WeightReader, spec: ConvSpec): Value;
  /** x `[B, C, H, W]`, normalised over groups of channels, affine, then SiLU if asked. */
  groupNorm(g: GraphBuilder, x: Value, spec: GroupNormSpec): Value;
}
