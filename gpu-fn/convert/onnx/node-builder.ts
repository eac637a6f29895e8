/**
 * The bare graph: nodes, unique names, scopes, constants, registered initialisers, inputs and outputs.
 *
 * Knows no operator; `graph-builder.ts` adds them, each with its shape rule.
 */
import { bytesPerElement, type Dtype } from './dtype.ts';
import {
  type PlannedTensor,
  planExternalData,
  sourceBytes,
  type TensorSource,
} from './external-data.ts';
import { type Dim, elementCount, type Shape, ShapeError, sameShape, shapeText } from './shape.ts';
import type { Attribute, OnnxInitializer, OnnxModel, OnnxNode, OnnxValueInfo } from './writer.ts';

/** One tensor of the graph: what a node, an input or an initialiser yields. */
export interface Value {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: Shape;
}

export interface NodeSpec {
  readonly opType: string;
  readonly domain?: string;
  /** undefined stands for an optional input that is left out */
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly { readonly dtype: Dtype; readonly shape: Shape }[];
  readonly attributes?: Readonly<Record<string, Attribute | undefined>>;
}

/** The operators of ONNX Runtime that are not in the standard. */
export const MICROSOFT = 'com.microsoft';

const OPSET = 23;
const MICROSOFT_OPSET = 1;
const IR_VERSION = 11;
/** Constants above this belong into external data. */
const CONSTANT_BYTES_MAX = 64 * 1024;

interface GraphState {
  readonly name: string;
  readonly nodes: OnnxNode[];
  readonly inputs: OnnxValueInfo[];
  readonly outputs: OnnxValueInfo[];
  readonly values: OnnxValueInfo[];
  readonly sources: Map<string, TensorSource>;
  readonly constants: Map<string, Value & OnnxInitializer>;
  readonly nameCounts: Map<string, number>;
  readonly memo: Map<string, Value>;
}

export class NodeBuilder {
  readonly #state: GraphState;
  /** Dotted path of the enclosing scopes, as a checkpoint names its modules; empty at the root. */
  readonly path: string;

  constructor(name: string, parent?: { readonly state: NodeBuilder; readonly path: string }) {
    this.path = parent?.path ?? '';
    this.#state = parent
      ? parent.state.#state
      : {
          name,
          nodes: [],
          inputs: [],
          outputs: [],
          values: [],
          sources: new Map(),
          constants: new Map(),
          nameCounts: new Map(),
          memo: new Map(),
        };
  }

  input(name: string, dtype: Dtype, shape: Shape): Value {
    const value = { name: this.#claim(name), dtype, shape };
    this.#state.inputs.push(value);
    return value;
  }

  /** Names `value` as an output of the graph; the name is taken literally. */
  output(name: string, value: Value): void {
    const output = { name: this.#claim(name), dtype: value.dtype, shape: value.shape };
    this.#state.nodes.push({
      name: `${name}/output`,
      opType: 'Identity',
      domain: '',
      inputs: [value.name],
      outputs: [name],
      attributes: {},
    });
    this.#state.outputs.push(output);
  }

  /** Registers a tensor of the external data file under the name of the current scope. */
  initializer(name: string, source: TensorSource): Value {
    const value = {
      name: this.#unique(this.#inScope(name)),
      dtype: source.dtype,
      shape: source.shape,
    };
    this.#state.sources.set(value.name, source);
    return value;
  }

  /** A small constant kept inside the model; equal constants are one. */
  constant(dtype: Dtype, shape: readonly number[], values: readonly number[]): Value {
    if (elementCount(shape) !== values.length) {
      throw new ShapeError(`${this.#where()}: constant ${shapeText(shape)} of ${values.length}`);
    }
    if (values.length * bytesPerElement(dtype) > CONSTANT_BYTES_MAX) {
      throw new ShapeError(`${this.#where()}: constant of ${values.length} elements is too large`);
    }
    const key = `${dtype} ${shape.join('x')} ${values.map((v) => (Object.is(v, -0) ? '-0' : v)).join(' ')}`;
    const known = this.#state.constants.get(key);
    if (known !== undefined) return known;
    const name = this.#unique(`constant_${dtype}`);
    const value = { name, dtype, shape, data: encodeConstant(dtype, values) };
    this.#state.constants.set(key, value);
    return value;
  }

  scalar(value: number, dtype: Dtype = 'float32'): Value {
    return this.constant(dtype, [], [value]);
  }

  int64s(values: readonly number[]): Value {
    return this.constant('int64', [values.length], values);
  }

  /** The value under `key`, built at its first use; every scope of the graph shares it. */
  once(key: string, build: () => Value): Value {
    const known = this.#state.memo.get(key);
    if (known !== undefined) return known;
    const value = build();
    this.#state.memo.set(key, value);
    return value;
  }

  /** Adds a node of any operator. The caller vouches for the output shapes. */
  node(spec: NodeSpec): Value[] {
    const name = this.#unique(this.#inScope(spec.opType));
    const outputs = spec.outputs.map(({ dtype, shape }, i) => ({
      name: this.#claim(spec.outputs.length === 1 ? `${name}/out` : `${name}/out${i}`),
      dtype,
      shape,
    }));
    const attributes: Record<string, Attribute> = {};
    for (const [key, attribute] of Object.entries(spec.attributes ?? {})) {
      if (attribute !== undefined) attributes[key] = attribute;
    }
    this.#state.nodes.push({
      name,
      opType: spec.opType,
      domain: spec.domain ?? '',
      inputs: spec.inputs.map((input) => input?.name ?? ''),
      outputs: outputs.map((output) => output.name),
      attributes,
    });
    this.#state.values.push(...outputs);
    return outputs;
  }

  /** A node with one output. */
  single(spec: Omit<NodeSpec, 'outputs'>, dtype: Dtype, shape: Shape): Value {
    const [value] = this.node({ ...spec, outputs: [{ dtype, shape }] });
    return value!;
  }

  /** Bytes of all weights that the external data file will hold, without alignment. */
  get externalBytes(): number {
    return [...this.#state.sources.values()].reduce((sum, source) => sum + sourceBytes(source), 0);
  }

  /**
   * The finished graph and the tensors that belong into `dataFile` beside it.
   */
  build(dataFile: string): { model: OnnxModel; tensors: PlannedTensor[] } {
    const state = this.#state;
    const tensors = planExternalData([...state.sources.values()], dataFile);
    const initializers: OnnxInitializer[] = [];
    for (const [i, [name, { dtype, shape }]] of [...state.sources].entries()) {
      initializers.push({ name, dtype, shape, data: tensors[i]!.location });
    }
    for (const { name, dtype, shape, data } of state.constants.values()) {
      initializers.push({ name, dtype, shape, data });
    }
    const model: OnnxModel = {
      name: state.name,
      irVersion: IR_VERSION,
      opsets: new Map([
        ['', OPSET],
        [MICROSOFT, MICROSOFT_OPSET],
      ]),
      nodes: state.nodes,
      initializers,
      inputs: state.inputs,
      outputs: state.outputs,
      valueInfos: state.values,
    };
    return { model, tensors };
  }

  /** @throws {ShapeError} naming the scope and the operator */
  protected fail(opType: string, reason: string): never {
    throw new ShapeError(`${this.#inScope(opType)}: ${reason}`);
  }

  protected expectDtype(opType: string, value: Value, ...dtypes: readonly Dtype[]): void {
    if (!dtypes.includes(value.dtype)) {
      this.fail(opType, `${value.name} is ${value.dtype}, expected ${dtypes.join(' or ')}`);
    }
  }

  protected expectShape(opType: string, value: Value, shape: Shape): void {
    if (!sameShape(value.shape, shape)) {
      this.fail(opType, `${value.name} is ${shapeText(value.shape)}, expected ${shapeText(shape)}`);
    }
  }

  protected expectRank(opType: string, value: Value, rank: number): void {
    if (value.shape.length !== rank) {
      this.fail(opType, `${value.name} is ${shapeText(value.shape)}, expected ${rank} dimensions`);
    }
  }

  protected axisOf(opType: string, value: Value, axis: number): number {
    const positive = axis < 0 ? axis + value.shape.length : axis;
    if (positive < 0 || positive >= value.shape.length) {
      this.fail(opType, `${value.name} ${shapeText(value.shape)} has no axis ${axis}`);
    }
    return positive;
  }

  protected dimOf(opType: string, value: Value, axis: number): Dim {
    return value.shape[this.axisOf(opType, value, axis)]!;
  }

  #where(): string {
    return this.path === '' ? this.#state.name : this.path;
  }

  #inScope(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`;
  }

  #claim(name: string): string {
    if (this.#state.nameCounts.has(name)) {
      throw new ShapeError(`${this.#where()}: the name ${name} is taken`);
    }
    this.#state.nameCounts.set(name, 1);
    return name;
  }

  #unique(base: string): string {
    const count = this.#state.nameCounts.get(base);
    if (count === undefined) return this.#claim(base);
    this.#state.nameCounts.set(base, count + 1);
    return this.#unique(`${base}_${count}`);
  }
}

function encodeConstant(dtype: Dtype, values: readonly number[]): Uint8Array {
  switch (dtype) {
    case 'float32':
      return new Uint8Array(Float32Array.from(values).buffer);
    case 'float16':
      return new Uint8Array(Float16Array.from(values).buffer);
    case 'int64':
      return new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    case 'int32':
      return new Uint8Array(Int32Array.from(values).buffer);
    case 'int8':
      return new Uint8Array(Int8Array.from(values).buffer);
    case 'uint8':
    case 'bool':
      return Uint8Array.from(values);
  }
}
