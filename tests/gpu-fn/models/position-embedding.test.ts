import { describe, expect, it } from 'vitest';
import { positionEmbedding } from '../../../gpu-fn/models/position-embedding.ts';

const QUARTER = 288;
const WIDTH = 4 * QUARTER;
/** 1024 model: sample_size 128, patch 2, interpolation scale 2 */
const XL = { width: WIDTH, base: 64, interpolationScale: 2 };

function row(table: Float32Array, token: number, from: number): number[] {
  return [...table.subarray(token * WIDTH + from, token * WIDTH + from + 3)];
}

/** Within a few units in the last place of float32. */
function expectClose(actual: readonly number[], expected: readonly number[]): void {
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 6);
}

describe('positionEmbedding()', () => {
  it('gives diffusers’ values on the native 64 × 64 grid, columns in the first half', () => {
    const table = positionEmbedding({ ...XL, rows: 64, columns: 64 });
    expectClose(row(table, 1, 0), [0.47942554, 0.46555606, 0.45201316]);
    expectClose(row(table, 1, QUARTER), [0.87758256, 0.88501839, 0.89201127]);
    expectClose(row(table, 1, 2 * QUARTER), [0, 0, 0]);
    expectClose(row(table, 1, 3 * QUARTER), [1, 1, 1]);
    expectClose(row(table, 64, 2 * QUARTER), [0.47942554, 0.46555606, 0.45201316]);
    expectClose(row(table, 64, 0), [0, 0, 0]);
    expectClose(row(table, 4095, 0), [0.08397446, -0.78788666, -0.95627382]);
    expectClose(row(table, 4095, 2 * QUARTER), [0.08397446, -0.78788666, -0.95627382]);
  });

  it('stretches each axis over the native range on a 48 × 84 grid', () => {
    const table = positionEmbedding({ ...XL, rows: 48, columns: 84 });
    expectClose(row(table, 1, 0), [0.37180475, 0.36064762, 0.34979221]);
    expectClose(row(table, 84, 2 * QUARTER), [0.61836982, 0.60174469, 0.58539021]);
    const last = 48 * 84 - 1;
    expectClose(row(table, last, 0), [0.20172678, -0.71180832, -0.98291045]);
    expectClose(row(table, last, 2 * QUARTER), [-0.0824987, -0.8766189, -0.899072]);
  });
});
