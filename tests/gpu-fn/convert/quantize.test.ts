import { describe, expect, it } from 'vitest';
import type { TensorSource } from '../../../gpu-fn/convert/onnx/external-data.ts';
import {
  blockSources,
  floatSource,
  int8RowSources,
  int8TransposedSources,
  quantizeRows,
  stackSource,
  transposedSource,
} from '../../../gpu-fn/convert/quantize.ts';
import type { WeightReader } from '../../../gpu-fn/convert/tensor-reader.ts';
import { CheckpointError } from '../../../gpu-fn/safetensors/errors.ts';

/** A weight in memory, read two rows at a time. */
function weight(rows: readonly (readonly number[])[], scales?: readonly number[]): WeightReader {
  const rowLength = rows[0]!.length;
  const part = (start: number, count: number) => rows.slice(start, start + count).flat();
  return {
    name: 'w',
    shape: [rows.length, rowLength],
    rowCount: rows.length,
    rowLength,
    isQuantized: scales !== undefined,
    *pieces() {
      for (let start = 0; start < rows.length; start += 2) {
        yield { start, count: Math.min(2, rows.length - start) };
      }
    },
    floatRows: async (start, count) => Float32Array.from(part(start, count)),
    quantizedRows: async (start, count) => ({
      values: Int8Array.from(part(start, count)),
      scales: Float32Array.from(scales!.slice(start, start + count)),
    }),
  };
}

async function bytesOf(source: TensorSource): Promise<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of source.chunks()) parts.push(chunk.slice());
  return Uint8Array.from(Buffer.concat(parts)).buffer;
}

const floats = async (source: TensorSource) => [...new Float32Array(await bytesOf(source))];
const int8s = async (source: TensorSource) => [...new Int8Array(await bytesOf(source))];
const uint8s = async (source: TensorSource) => [...new Uint8Array(await bytesOf(source))];

describe('quantizeRows()', () => {
  it('fills −127…127 by each row’s largest magnitude', () => {
    const { values, scales } = quantizeRows(Float32Array.of(127, -63.5, 0, 0.5, -1, 0.25), 3, 'w');
    expect([...values]).toEqual([127, -64, 0, 64, -127, 32]); // half to even
    expect(scales[0]).toBe(1);
    expect(scales[1]).toBeCloseTo(1 / 127, 8);
  });

  it('keeps a row of zeros', () => {
    const { values, scales } = quantizeRows(new Float32Array(3), 3, 'w');
    expect([...values]).toEqual([0, 0, 0]);
    expect(scales[0]).toBeGreaterThan(0);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'refuses %d, naming tensor and row',
    (value) => {
      expect(() => quantizeRows(Float32Array.of(1, 2, 3, value), 2, 'encoder.o.weight')).toThrow(
        new CheckpointError('tensor encoder.o.weight: NaN or infinity at or after row 1'),
      );
    },
  );
});

describe('float sources', () => {
  const reader = weight([
    [1, 2, 3],
    [4, 5, 6],
    [7, 8, 9],
  ]);

  it('floatSource() keeps the order, in float32 and float16', async () => {
    expect(await floats(floatSource(reader, 'float32'))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const half = new Float16Array(await bytesOf(floatSource(reader, 'float16')));
    expect([...half]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('transposedSource() turns [out, in] into [in, out]', async () => {
    const source = transposedSource(reader, 'float32');
    expect(source.shape).toEqual([3, 3]);
    expect(await floats(source)).toEqual([1, 4, 7, 2, 5, 8, 3, 6, 9]);
  });

  it('stackSource() puts tensors behind each other along a new axis', async () => {
    const source = stackSource(
      [
        reader,
        weight([
          [0, 0, 0],
          [1, 1, 1],
          [2, 2, 2],
        ]),
      ],
      'float32',
    );
    expect(source.shape).toEqual([2, 3, 3]);
    expect((await floats(source)).slice(8, 13)).toEqual([9, 0, 0, 0, 1]);
  });

  it('refuse NaN', async () => {
    const bad = weight([[1], [Number.NaN]]);
    await expect(bytesOf(floatSource(bad, 'float32'))).rejects.toThrow(CheckpointError);
    await expect(bytesOf(transposedSource(bad, 'float16'))).rejects.toThrow(CheckpointError);
  });
});

describe('8-bit sources', () => {
  const stored = weight(
    [
      [1, -2],
      [3, -128],
      [5, 6],
    ],
    [0.5, 2, 1],
  );

  it('keep integers that the checkpoint holds, transposed or not', async () => {
    const transposed = int8TransposedSources(stored);
    expect(await int8s(transposed.values)).toEqual([1, 3, 5, -2, -128, 6]);
    expect(await floats(transposed.scales)).toEqual([0.5, 2, 1]);
    const rows = int8RowSources(stored);
    expect(await int8s(rows.values)).toEqual([1, -2, 3, -128, 5, 6]);
    expect(await floats(rows.scales)).toEqual([0.5, 2, 1]);
  });

  it('give scales that are read before the values', async () => {
    const { values, scales } = int8TransposedSources(
      weight([
        [2, -4],
        [127, 0],
        [0, 254],
      ]),
    );
    expect(await floats(scales)).toEqual([Math.fround(4 / 127), 1, 2]);
    expect(await int8s(values)).toEqual([64, 127, 0, -127, 0, 127]);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])(
    'refuse a stored scale of %d',
    async (scale) => {
      const bad = weight([[1, 2]], [scale]);
      await expect(bytesOf(int8RowSources(bad).values)).rejects.toThrow(CheckpointError);
    },
  );

  it('blockSources() adds 128, pads rows to whole blocks and repeats the row’s scale', async () => {
    const { values, scales } = blockSources(weight([[1, -2, 3]], [0.5]), 2, 'float32');
    expect(values.shape).toEqual([1, 2, 2]);
    expect(await uint8s(values)).toEqual([129, 126, 131, 128]);
    expect(scales.shape).toEqual([1, 2]);
    expect(await floats(scales)).toEqual([0.5, 0.5]);
  });
});
