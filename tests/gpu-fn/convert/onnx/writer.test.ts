import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { encodeModel, type OnnxModel } from '../../../../gpu-fn/convert/onnx/writer.ts';
import { openSession } from '../../../../gpu-fn/runtime/session.ts';
import { ProtobufMessage } from '../../../helpers/protobuf-reader.ts';
import { temporaryFolder } from '../../../helpers/temporary-folder.ts';

const tensor = { dtype: 'float32', shape: [1, 'n'] } as const;
const model: OnnxModel = {
  name: 'scaled',
  irVersion: 11,
  opsets: new Map([
    ['', 23],
    ['com.microsoft', 1],
  ]),
  nodes: [
    {
      name: 'multiply',
      opType: 'Mul',
      domain: '',
      inputs: ['x', 'inline'],
      outputs: ['scaled'],
      attributes: {},
    },
    {
      name: 'add',
      opType: 'Add',
      domain: '',
      inputs: ['scaled', 'external'],
      outputs: ['shifted'],
      attributes: {},
    },
    {
      name: 'gelu',
      opType: 'FastGelu',
      domain: 'com.microsoft',
      inputs: ['shifted', ''],
      outputs: ['y'],
      attributes: {},
    },
  ],
  initializers: [
    {
      name: 'inline',
      dtype: 'float32',
      shape: [],
      data: new Uint8Array(Float32Array.of(2).buffer),
    },
    {
      name: 'external',
      dtype: 'float32',
      shape: [1],
      data: { location: 'weights.data', offset: 64, length: 4 },
    },
  ],
  inputs: [{ name: 'x', ...tensor }],
  outputs: [{ name: 'y', ...tensor }],
  valueInfos: [{ name: 'scaled', ...tensor }],
};

describe('encodeModel()', () => {
  it('writes what an independent reader finds at the field numbers of onnx.proto', () => {
    const read = new ProtobufMessage(encodeModel(model));
    expect(read.integer(1)).toBe(11);
    expect(read.messages(8).map((m) => [m.string(1), m.integer(2)])).toEqual([
      ['', 23],
      ['com.microsoft', 1],
    ]);
    const graph = read.message(7);
    expect(graph.string(2)).toBe('scaled');
    expect(graph.messages(1).map((node) => node.string(4))).toEqual(['Mul', 'Add', 'FastGelu']);
    expect(graph.messages(1)[2]?.strings(1)).toEqual(['shifted', '']);
    expect(graph.messages(1)[2]?.string(7)).toBe('com.microsoft');

    const [inline, external] = graph.messages(5);
    expect(inline?.integers(1)).toEqual([]);
    expect(inline?.bytes(9)).toEqual([new Uint8Array(Float32Array.of(2).buffer)]);
    expect(external?.integers(1)).toEqual([1]);
    expect(external?.integer(2)).toBe(1);
    expect(external?.integer(14)).toBe(1);
    expect(external?.messages(13).map((m) => [m.string(1), m.string(2)])).toEqual([
      ['location', 'weights.data'],
      ['offset', '64'],
      ['length', '4'],
    ]);

    const tensorType = graph.message(11).message(2).message(1);
    expect(graph.message(11).string(1)).toBe('x');
    expect(tensorType.integer(1)).toBe(1);
    const [first, second] = tensorType.message(2).messages(1);
    expect(first?.integer(1)).toBe(1);
    expect(second?.string(2)).toBe('n');
    expect(graph.message(12).string(1)).toBe('y');
    expect(graph.message(13).string(1)).toBe('scaled');
  });

  it('writes every kind of attribute with its type', () => {
    const attributes = {
      f: { type: 'float', value: 1.5 },
      i: { type: 'int', value: -1 },
      s: { type: 'string', value: 'tanh' },
      fs: { type: 'floats', value: [0.25, 2] },
      is: { type: 'ints', value: [1, 0] },
    } as const;
    const node = { ...model.nodes[0]!, attributes };
    const read = new ProtobufMessage(encodeModel({ ...model, nodes: [node] }));
    const [f, i, s, fs, is] = read.message(7).message(1).messages(5);
    expect([f?.string(1), f?.floats(2), f?.integer(20)]).toEqual(['f', [1.5], 1]);
    expect([i?.string(1), i?.integer(3), i?.integer(20)]).toEqual(['i', -1, 2]);
    expect([s?.string(1), s?.string(4), s?.integer(20)]).toEqual(['s', 'tanh', 3]);
    expect([fs?.string(1), fs?.floats(7), fs?.integer(20)]).toEqual(['fs', [0.25, 2], 6]);
    expect([is?.string(1), is?.integers(8), is?.integer(20)]).toEqual(['is', [1, 0], 7]);
  });

  it('writes a model that ONNX Runtime loads and runs with external weights', async () => {
    await using folder = temporaryFolder();
    await writeFile(`${folder.path}/model.onnx`, encodeModel(model));
    const weights = new Uint8Array(68);
    new DataView(weights.buffer).setFloat32(64, 10, true);
    await writeFile(`${folder.path}/weights.data`, weights);
    await using session = await openSession(`${folder.path}/model.onnx`);
    const { y } = await session.run({
      x: { dtype: 'float32', data: Float32Array.of(3, -20), shape: [1, 2] },
    });
    expect(y?.data[0]).toBeCloseTo(16, 4); // gelu(3·2 + 10)
    expect(y?.data[1]).toBeCloseTo(0, 4);
  });
});
