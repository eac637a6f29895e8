import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import {
  planExternalData,
  type TensorSource,
  writeExternalData,
} from '../../../../gpu-fn/convert/onnx/external-data.ts';
import { temporaryFolder } from '../../../helpers/temporary-folder.ts';

function bytesSource(length: number, fill: number, chunkBytes = length): TensorSource {
  return {
    dtype: 'uint8',
    shape: [length],
    *chunks() {
      for (let at = 0; at < length; at += chunkBytes) {
        yield new Uint8Array(Math.min(chunkBytes, length - at)).fill(fill);
      }
    },
  };
}

describe('planExternalData()', () => {
  it('starts large tensors at a page and small ones at 64 bytes', () => {
    const plan = planExternalData(
      [bytesSource(10, 1), bytesSource(20, 2), bytesSource(4096, 3)],
      'w',
    );
    expect(plan.map(({ location }) => location)).toEqual([
      { location: 'w', offset: 0, length: 10 },
      { location: 'w', offset: 64, length: 20 },
      { location: 'w', offset: 4096, length: 4096 },
    ]);
  });
});

describe('writeExternalData()', () => {
  it('writes each tensor at its offset and reports size and digest of the file', async () => {
    await using folder = temporaryFolder();
    const path = `${folder.path}/weights.data`;
    const large = 3 * 2 ** 20 + 5;
    const plan = planExternalData(
      [bytesSource(10, 1), bytesSource(large, 2, 1 << 19), bytesSource(3, 3)],
      'w',
    );
    const written = await writeExternalData(path, plan);
    const file = await readFile(path);
    expect(file.length).toBe(written.bytes);
    expect(createHash('sha256').update(file).digest('hex')).toBe(written.sha256);
    for (const [i, { location }] of plan.entries()) {
      const bytes = file.subarray(location.offset, location.offset + location.length);
      expect(bytes.every((byte) => byte === i + 1)).toBe(true);
    }
    expect(file.subarray(10, 64).every((byte) => byte === 0)).toBe(true);
  });

  it('refuses a source that yields too few or too many bytes', async () => {
    await using folder = temporaryFolder();
    for (const length of [9, 11]) {
      const source = { ...bytesSource(10, 1), chunks: () => [new Uint8Array(length)] };
      const plan = planExternalData([source], 'w');
      await expect(writeExternalData(`${folder.path}/${length}`, plan)).rejects.toThrow(RangeError);
    }
  });

  it('stops when the signal is aborted', async () => {
    await using folder = temporaryFolder();
    const controller = new AbortController();
    const source: TensorSource = {
      ...bytesSource(8 * 2 ** 20, 1),
      *chunks() {
        for (let i = 0; i < 4; i += 1) {
          if (i === 2) controller.abort(new Error('enough'));
          yield new Uint8Array(2 * 2 ** 20);
        }
      },
    };
    const writing = writeExternalData(`${folder.path}/w`, planExternalData([source], 'w'), {
      signal: controller.signal,
    });
    await expect(writing).rejects.toThrow('enough');
  });
});
