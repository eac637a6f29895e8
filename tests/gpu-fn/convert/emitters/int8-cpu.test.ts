import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { ConvSpec, Emitter } from '../../../../gpu-fn/convert/emitters/emitter.ts';
import { FloatEmitter } from '../../../../gpu-fn/convert/emitters/float.ts';
import { type Calibration, Int8CpuEmitter } from '../../../../gpu-fn/convert/emitters/int8-cpu.ts';
import { GraphBuilder, type Value } from '../../../../gpu-fn/convert/onnx/graph-builder.ts';
import type { Shape } from '../../../../gpu-fn/convert/onnx/shape.ts';
import type { WeightReader } from '../../../../gpu-fn/convert/tensor-reader.ts';
import { writeGraph } from '../../../../gpu-fn/convert/write-graph.ts';
import { floatData, openSession } from '../../../../gpu-fn/runtime/session.ts';
import { relativeError } from '../../../helpers/compare-tensors.ts';
import { hashFilled, hashInput, hashWeight } from '../../../helpers/hash-tensor.ts';
import { ProtobufMessage } from '../../../helpers/protobuf-reader.ts';
import { temporaryFolder } from '../../../helpers/temporary-folder.ts';

function weight(
  name: string,
  shape: readonly number[],
  data = hashWeight(name, shape),
): WeightReader {
  const rowLength = data.length / shape[0]!;
  return {
    name,
    shape,
    rowCount: shape[0]!,
    rowLength,
    isQuantized: false,
    pieces: () => [{ start: 0, count: shape[0]! }],
    floatRows: async (start, count) => data.slice(start * rowLength, (start + count) * rowLength),
    quantizedRows: async () => expect.fail('not quantised'),
  };
}

/** Runs a graph of one layer and returns its output and its operators. */
async function runLayer(
  build: (g: GraphBuilder, x: Value) => Value,
  input: {
    readonly data: Float32Array;
    readonly shape: readonly number[];
    readonly declared: Shape;
  },
) {
  await using folder = temporaryFolder();
  const g = new GraphBuilder('layer');
  g.output('y', build(g, g.input('x', 'float32', input.declared)));
  await writeGraph(folder.path, 'layer', g);
  await using session = await openSession(`${folder.path}/layer.onnx`);
  const { y } = await session.run({
    x: { dtype: 'float32', data: input.data, shape: input.shape },
  });
  const model = new ProtobufMessage(await readFile(`${folder.path}/layer.onnx`));
  return {
    y: floatData(y),
    operators: model
      .message(7)
      .messages(1)
      .map((node) => node.string(4)),
  };
}

describe('Int8CpuEmitter linear layers', () => {
  const [T, K, N] = [5, 96, 80];
  const layer = (emitter: Emitter) => (g: GraphBuilder, x: Value) =>
    emitter.linear(g, emitter.prepare(g, x), weight('l.weight', [N, K]), weight('l.bias', [N]));
  const input = (data: Float32Array) => ({ data, shape: [1, T, K], declared: [1, 'tokens', K] });

  it('multiply uint8 by int8 within 1 % of float32', async () => {
    const data = hashInput('x', [T, K]);
    const expected = await runLayer(layer(new FloatEmitter()), input(data));
    const actual = await runLayer(layer(new Int8CpuEmitter()), input(data));
    expect(actual.operators).toContain('MatMulIntegerToFloat');
    expect(actual.operators).not.toContain('MatMul');
    expect(relativeError(actual.y, expected.y)).toBeLessThan(0.012);
  });

  it('keep every token exact when one of them is a hundred times larger', async () => {
    const data = hashInput('x', [T, K]).map((value, i) => (i < K ? 100 * value : value));
    const expected = await runLayer(layer(new FloatEmitter()), input(data));
    const actual = await runLayer(layer(new Int8CpuEmitter()), input(data));
    const others = (y: Float32Array) => y.subarray(N);
    expect(relativeError(others(actual.y), others(expected.y))).toBeLessThan(0.012);
  });

  it('give the bias for a token of zeros', async () => {
    const actual = await runLayer(layer(new Int8CpuEmitter()), input(new Float32Array(T * K)));
    const bias = hashWeight('l.bias', [N]);
    expect(relativeError(actual.y.subarray(0, N), bias)).toBeLessThan(1e-6);
  });

  it('of narrow inputs stay in float', async () => {
    const narrow = (g: GraphBuilder, x: Value) => {
      const emitter = new Int8CpuEmitter();
      return emitter.linear(g, emitter.prepare(g, x), weight('l.weight', [8, 63]));
    };
    const { operators } = await runLayer(narrow, {
      data: hashInput('x', [2, 63]),
      shape: [1, 2, 63],
      declared: [1, 'tokens', 63],
    });
    expect(operators).toContain('MatMul');
  });
});

describe('Int8CpuEmitter convolutions', () => {
  const [C, O, S] = [64, 8, 12];
  const kernel = weight('c.weight', [O, C, 3, 3]);
  const bias = weight('c.bias', [O]);
  const spec: ConvSpec = { precise: false, pads: [1, 1, 1, 1] };
  const data = hashFilled('x', [1, C, S, S], (r) => r + 0.3);
  const input = { data, shape: [1, C, S, S], declared: [1, C, 'rows', 'columns'] };
  const layer =
    (emitter: Emitter, conv: ConvSpec = spec) =>
    (g: GraphBuilder, x: Value) =>
      emitter.conv(g, x, kernel, bias, conv);

  async function calibration(): Promise<Calibration> {
    const { y } = await runLayer(layer(new FloatEmitter()), input);
    const biases = hashWeight('c.bias', [O]);
    const outputs = new Float32Array(O);
    for (const [i, value] of y.entries()) {
      const channel = Math.floor(i / (S * S));
      outputs[channel] = Math.max(outputs[channel]!, Math.abs(value - biases[channel]!));
    }
    return new Map([['c.weight', { input: 1, outputs }]]);
  }

  it('run in 8 bits within 2 % of float32', async () => {
    const expected = await runLayer(layer(new FloatEmitter()), input);
    const actual = await runLayer(layer(new Int8CpuEmitter(await calibration())), input);
    expect(actual.operators).toContain('QLinearConv');
    expect(actual.operators).not.toContain('Conv');
    expect(relativeError(actual.y, expected.y)).toBeLessThan(0.02);
  });

  it('follow inputs far beyond the calibrated range instead of clipping', async () => {
    const loud = { ...input, data: data.map((value) => value * 50) };
    const expected = await runLayer(layer(new FloatEmitter()), loud);
    const actual = await runLayer(layer(new Int8CpuEmitter(await calibration())), loud);
    expect(relativeError(actual.y, expected.y)).toBeLessThan(0.02);
  });

  it('stay in float when precise, or without calibration', async () => {
    const precise = await runLayer(
      layer(new Int8CpuEmitter(await calibration()), { ...spec, precise: true }),
      input,
    );
    const unknown = await runLayer(layer(new Int8CpuEmitter()), input);
    const expected = await runLayer(layer(new FloatEmitter()), input);
    for (const { y, operators } of [precise, unknown]) {
      expect(operators).toContain('Conv');
      expect(relativeError(y, expected.y)).toBeLessThan(1e-6);
    }
  });
});
