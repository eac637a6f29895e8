import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { TensorReader } from '../../../gpu-fn/convert/tensor-reader.ts';
import { openSafetensors } from '../../../gpu-fn/safetensors/safetensors.ts';
import {
  encodeSafetensors,
  type TensorToWrite,
  toBfloat16Bits,
  toFloat16Bits,
} from '../../helpers/safetensors-file.ts';
import { temporaryFolder } from '../../helpers/temporary-folder.ts';

const VALUES = Float32Array.of(1, -2.5, 0.125, 3, -0.75, 100);

async function withReader<T>(
  tensors: Record<string, TensorToWrite>,
  use: (reader: TensorReader) => Promise<T>,
): Promise<T> {
  await using folder = temporaryFolder();
  const path = `${folder.path}/t.safetensors`;
  await writeFile(path, encodeSafetensors(tensors));
  await using store = await openSafetensors(path);
  const entry = store.entries.get('w')!;
  return await use(new TensorReader(store, entry, store.entries.get('w.scale'), entry.shape));
}

describe('TensorReader', () => {
  it.each<[string, TensorToWrite]>([
    ['F32', { dtype: 'F32', shape: [3, 2], data: VALUES }],
    ['F16', { dtype: 'F16', shape: [3, 2], data: toFloat16Bits(VALUES) }],
    ['BF16', { dtype: 'BF16', shape: [3, 2], data: toBfloat16Bits(VALUES) }],
  ])('floatRows() reads rows of %s', async (_dtype, tensor) => {
    await withReader({ w: tensor }, async (reader) => {
      expect([reader.rowCount, reader.rowLength, reader.isQuantized]).toEqual([3, 2, false]);
      expect([...(await reader.floatRows(1, 2))]).toEqual([0.125, 3, -0.75, 100]);
      await expect(reader.quantizedRows(0, 1)).rejects.toThrow(TypeError);
    });
  });

  it('reads int8 with row scales as integers and as floats', async () => {
    const tensors: Record<string, TensorToWrite> = {
      w: { dtype: 'I8', shape: [2, 2], data: Int8Array.of(1, -127, 4, 0) },
      'w.scale': { dtype: 'F32', shape: [2], data: Float32Array.of(0.5, 2) },
    };
    await withReader(tensors, async (reader) => {
      expect(reader.isQuantized).toBe(true);
      expect([...(await reader.floatRows(0, 2))]).toEqual([0.5, -63.5, 8, 0]);
      const { values, scales } = await reader.quantizedRows(1, 1);
      expect([[...values], [...scales]]).toEqual([[4, 0], [2]]);
    });
  });

  it('pieces() covers all rows once in steps of a few megabytes', async () => {
    const rows = 5000;
    const tensor: TensorToWrite = {
      dtype: 'F32',
      shape: [rows, 512],
      data: new Float32Array(rows * 512),
    };
    await withReader({ w: tensor }, async (reader) => {
      let next = 0;
      let largest = 0;
      for (const { start, count } of reader.pieces()) {
        expect(start).toBe(next);
        next = start + count;
        largest = Math.max(largest, count);
      }
      expect(next).toBe(rows);
      expect(largest * 512 * 4).toBeLessThanOrEqual(4 * 2 ** 20);
    });
  });
});
