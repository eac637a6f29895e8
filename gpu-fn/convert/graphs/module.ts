/**
 * A place in a model: graph, emitter and weights under one dotted path, as a checkpoint names its modules.
 *
 * `module.child('attn1')` goes one step down; a layer claims its tensors by name and shape, so the code of a graph
 * reads like the list of tensors in the file.
 */
import type { ConvSpec, Emitter, Prepared } from '../emitters/emitter.ts';
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import type { WeightReader } from '../tensor-reader.ts';
import type { Weights } from '../weights.ts';

export class Module {
  readonly g: GraphBuilder;
  readonly emitter: Emitter;
  readonly #weights: Weights;
  readonly #path: string;

  constructor(g: GraphBuilder, emitter: Emitter, weights: Weights, path = '') {
    this.g = g;
    this.emitter = emitter;
    this.#weights = weights;
    this.#path = path;
  }

  child(name: string): Module {
    const path = this.#path === '' ? name : `${this.#path}.${name}`;
    return new Module(this.g.scope(name), this.emitter, this.#weights, path);
  }

  /** Claims the tensor `<path>.<name>`. */
  tensor(name: string, shape: readonly number[]): WeightReader {
    return this.#weights.take(this.#path === '' ? name : `${this.#path}.${name}`, shape);
  }

  prepare(x: Value): Prepared {
    return this.emitter.prepare(this.g, x);
  }

  /** Layer `name` with bias. */
  linear(name: string, input: Prepared, [outputs, inputs]: readonly [number, number]): Value {
    const layer = this.child(name);
    const weight = layer.tensor('weight', [outputs, inputs]);
    return this.emitter.linear(layer.g, input, weight, layer.tensor('bias', [outputs]));
  }

  /** Layer `name` without bias. */
  linearNoBias(name: string, input: Prepared, shape: readonly [number, number]): Value {
    const layer = this.child(name);
    return this.emitter.linear(layer.g, input, layer.tensor('weight', shape));
  }

  preciseLinear(name: string, x: Value, [outputs, inputs]: readonly [number, number]): Value {
    const layer = this.child(name);
    const weight = layer.tensor('weight', [outputs, inputs]);
    return this.emitter.preciseLinear(layer.g, x, weight, layer.tensor('bias', [outputs]));
  }

  linearGelu(name: string, input: Prepared, [outputs, inputs]: readonly [number, number]): Value {
    const layer = this.child(name);
    const weight = layer.tensor('weight', [outputs, inputs]);
    return this.emitter.linearGelu(layer.g, input, weight, layer.tensor('bias', [outputs]));
  }

  /** Convolution `name` with a square kernel and bias. */
  conv(
    name: string,
    x: Value,
    {
      outputs,
      inputs,
      kernel,
      ...spec
    }: ConvSpec & { outputs: number; inputs: number; kernel: number },
  ): Value {
    const layer = this.child(name);
    const weight = layer.tensor('weight', [outputs, inputs, kernel, kernel]);
    return this.emitter.conv(layer.g, x, weight, layer.tensor('bias', [outputs]), spec);
  }
}
