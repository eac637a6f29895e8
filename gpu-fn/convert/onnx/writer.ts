/**
 * ONNX ModelProto from plain objects. Field numbers are those of the ONNX specification:
 *
 * | message                | fields written                                                              |
 * |------------------------|-----------------------------------------------------------------------------|
 * | ModelProto             | 1 ir_version, 2 producer_name, 3 producer_version, 7 graph, 8 opset_import  |
 * | OperatorSetIdProto     | 1 domain, 2 version                                                         |
 * | GraphProto             | 1 node, 2 name, 5 initializer, 11 input, 12 output, 13 value_info           |
 * | NodeProto              | 1 input, 2 output, 3 name, 4 op_type, 5 attribute, 7 domain                 |
 * | AttributeProto         | 1 name, 2 f, 3 i, 4 s, 7 floats, 8 ints, 20 type                            |
 * | TensorProto            | 1 dims, 2 data_type, 8 name, 9 raw_data, 13 external_data, 14 data_location |
 * | StringStringEntryProto | 1 key, 2 value                                                              |
 * | ValueInfoProto         | 1 name, 2 type                                                              |
 * | TypeProto, .Tensor     | 1 tensor_type; 1 elem_type, 2 shape                                         |
 * | TensorShapeProto       | 1 dim: 1 dim_value or 2 dim_param                                           |
 *
 * Weights do not pass through here: an initialiser names a place in an external data file. Only constants of a
 * few bytes (axes, shapes, scalars) are written into the model itself.
 *
 * @see https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
import { type Dtype, dtypeCode } from './dtype.ts';
import { ProtobufWriter } from './protobuf-writer.ts';
import type { Dim } from './shape.ts';

export type Attribute =
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'ints'; readonly value: readonly number[] }
  | { readonly type: 'floats'; readonly value: readonly number[] };

export interface OnnxNode {
  readonly name: string;
  readonly opType: string;
  /** empty for the standard operators */
  readonly domain: string;
  /** an empty name stands for an optional input that is left out */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface OnnxValueInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly Dim[];
}

export interface ExternalLocation {
  /** file name beside the model */
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

export interface OnnxInitializer {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly data: Uint8Array | ExternalLocation;
}

export interface OnnxModel {
  readonly name: string;
  readonly irVersion: number;
  /** version of each operator domain; '' is the standard one */
  readonly opsets: ReadonlyMap<string, number>;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  /** shapes of values in between, for readers and checkers */
  readonly valueInfos: readonly OnnxValueInfo[];
}

const PRODUCER = 'pixart-edge';
const EXTERNAL = 1;
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, floats: 6, ints: 7 } as const;

export function encodeModel(model: OnnxModel): Uint8Array {
  const writer = new ProtobufWriter();
  writer.integer(1, model.irVersion).string(2, PRODUCER).string(3, '1');
  writer.message(7, (graph) => {
    for (const node of model.nodes) graph.message(1, (w) => writeNode(w, node));
    graph.string(2, model.name);
    for (const tensor of model.initializers) graph.message(5, (w) => writeInitializer(w, tensor));
    for (const input of model.inputs) graph.message(11, (w) => writeValueInfo(w, input));
    for (const output of model.outputs) graph.message(12, (w) => writeValueInfo(w, output));
    for (const value of model.valueInfos) graph.message(13, (w) => writeValueInfo(w, value));
  });
  for (const [domain, version] of model.opsets) {
    writer.message(8, (opset) => opset.string(1, domain).integer(2, version));
  }
  return writer.finish();
}

function writeNode(writer: ProtobufWriter, node: OnnxNode): void {
  for (const input of node.inputs) writer.string(1, input);
  for (const output of node.outputs) writer.string(2, output);
  writer.string(3, node.name).string(4, node.opType);
  for (const [name, attribute] of Object.entries(node.attributes)) {
    writer.message(5, (w) => writeAttribute(w, name, attribute));
  }
  if (node.domain !== '') writer.string(7, node.domain);
}

function writeAttribute(writer: ProtobufWriter, name: string, attribute: Attribute): void {
  writer.string(1, name);
  switch (attribute.type) {
    case 'float':
      writer.float(2, attribute.value);
      break;
    case 'int':
      writer.integer(3, attribute.value);
      break;
    case 'string':
      writer.string(4, attribute.value);
      break;
    case 'floats':
      for (const value of attribute.value) writer.float(7, value);
      break;
    case 'ints':
      for (const value of attribute.value) writer.integer(8, value);
      break;
  }
  writer.integer(20, ATTRIBUTE_TYPE[attribute.type]);
}

function writeInitializer(writer: ProtobufWriter, tensor: OnnxInitializer): void {
  for (const dim of tensor.shape) writer.integer(1, dim);
  writer.integer(2, dtypeCode(tensor.dtype)).string(8, tensor.name);
  if (tensor.data instanceof Uint8Array) {
    writer.bytes(9, tensor.data);
    return;
  }
  for (const [key, value] of Object.entries(tensor.data)) {
    writer.message(13, (entry) => entry.string(1, key).string(2, String(value)));
  }
  writer.integer(14, EXTERNAL);
}

function writeValueInfo(writer: ProtobufWriter, info: OnnxValueInfo): void {
  writer.string(1, info.name);
  writer.message(2, (type) =>
    type.message(1, (tensor) => {
      tensor.integer(1, dtypeCode(info.dtype));
      tensor.message(2, (shape) => {
        for (const dim of info.shape) {
          shape.message(1, (w) => (typeof dim === 'number' ? w.integer(1, dim) : w.string(2, dim)));
        }
      });
    }),
  );
}
