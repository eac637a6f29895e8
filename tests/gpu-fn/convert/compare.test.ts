import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareBundles, formatComparison } from '../../../gpu-fn/convert/compare.ts';
import { convertCheckpoint } from '../../../gpu-fn/convert/convert.ts';
import { type Bundle, BundleError, loadBundle } from '../../../gpu-fn/runtime/bundle.ts';
import { liveSessionCount } from '../../../gpu-fn/runtime/session.ts';
import { type TemporaryFolder, temporaryFolder } from '../../helpers/temporary-folder.ts';
import { writeTinyCheckpoint } from '../../helpers/tiny-checkpoint.ts';

let folder: TemporaryFolder;
let float: Bundle;
let int8: Bundle;
beforeAll(async () => {
  folder = temporaryFolder();
  const checkpoint = writeTinyCheckpoint(`${folder.path}/checkpoint`);
  for (const precision of ['fp32', 'int8'] as const) {
    await convertCheckpoint({ checkpoint, out: `${folder.path}/${precision}`, precision });
  }
  float = await loadBundle(`${folder.path}/fp32`);
  int8 = await loadBundle(`${folder.path}/int8`);
});
afterAll(() => folder[Symbol.asyncDispose]());

describe('compareBundles()', () => {
  it('finds 8 bits close to float32 in every network, and not equal', async () => {
    const comparison = await compareBundles(float, int8);
    // Random weights at these widths; a trained checkpoint is closer (docs/lab-notes.md).
    expect(comparison.text.relativeError).toBeLessThan(0.05);
    expect(comparison.text.cosineMin).toBeGreaterThan(0.995);
    expect(comparison.promptRelativeError).toBeLessThan(0.03);
    for (const { relativeError, timestep } of comparison.denoise) {
      expect(relativeError, `t = ${timestep}`).toBeLessThan(0.03);
      expect(relativeError).toBeGreaterThan(1e-5);
    }
    expect(comparison.decode.noisePsnr).toBeGreaterThan(38);
    expect(comparison.decode.picturePsnr).toBeGreaterThan(38);
    expect(formatComparison(comparison).split('\n')).toHaveLength(7);
    expect(liveSessionCount()).toBe(0);
  });

  it('finds a bundle equal to itself', async () => {
    const comparison = await compareBundles(float, float);
    expect(comparison.text.relativeError).toBe(0);
    expect(comparison.denoise.every(({ relativeError }) => relativeError === 0)).toBe(true);
    expect(comparison.decode.noisePsnr).toBe(Number.POSITIVE_INFINITY);
  });

  it('refuses bundles of two models', async () => {
    const { manifest } = int8;
    const other = {
      ...int8,
      manifest: { ...manifest, transformer: { ...manifest.transformer, num_layers: 3 } },
    };
    await expect(compareBundles(float, other)).rejects.toThrow(BundleError);
  });
});
