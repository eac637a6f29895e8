import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../../gpu-fn/convert/convert.ts';
import { createModels } from '../../../gpu-fn/models/load-models.ts';
import { loadPipeline } from '../../../gpu-fn/pipeline/load-pipeline.ts';
import { PixArtLcmPipeline } from '../../../gpu-fn/pipeline/pixart-lcm.ts';
import { BundleError, loadBundle } from '../../../gpu-fn/runtime/bundle.ts';
import { createSchedulers } from '../../../gpu-fn/schedulers/create-schedulers.ts';
import { FAKE_INFO } from '../../helpers/fake-pipeline.ts';
import { writeFixtureCheckpoint } from '../../helpers/hash-checkpoint.ts';
import { hashInput } from '../../helpers/hash-tensor.ts';
import { writeTinyCheckpoint } from '../../helpers/tiny-checkpoint.ts';

const folder = mkdtempSync(join(tmpdir(), 'pixart-edge-pipeline-'));
const tinyBundle = join(folder, 'tiny');
const options = {
  prompt: 'a happy cactus in the desert',
  width: 64,
  height: 64,
  numInferenceSteps: 4,
  guidanceScale: 0,
  seed: 3,
  sampler: 'lcm',
  sizePolicy: 'fit',
  background: 'auto',
} as const;

beforeAll(async () => {
  const checkpoint = writeTinyCheckpoint(join(folder, 'tiny-checkpoint'));
  await convertCheckpoint({ checkpoint, out: tinyBundle });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('loadPipeline()', () => {
  it('loadPipeline() draws the same bytes from the same request, also after loading anew', async () => {
    const draw = async () => {
      await using pipeline = await loadPipeline(tinyBundle);
      const first = await pipeline.generate(options);
      const second = await pipeline.generate(options);
      expect(second.image).toEqual(first.image);
      return first.image;
    };
    const image = await draw();
    expect(image).toMatchObject({ width: 64, height: 64, channels: 3 });
    expect(new Set(image.data).size).toBeGreaterThan(16); // a picture, not a plain surface
    expect(await draw()).toEqual(image);
  });

  it('loadPipeline() draws transparency, previews and resampled sizes', async () => {
    await using pipeline = await loadPipeline(tinyBundle);
    const previews: number[] = [];
    const result = await pipeline.generate(
      { ...options, width: 96, height: 80, background: 'transparent' },
      { onStep: ({ preview }) => previews.push(preview?.().data.length ?? 0) },
    );
    expect(result.image).toMatchObject({ width: 96, height: 80, channels: 4 });
    expect(result.drawn).toEqual([64, 64]);
    expect(previews).toEqual(Array(4).fill(8 * 8 * 3));
  });

  it('loadPipeline() refuses a bundle with a changed file', async () => {
    const checkpoint = writeTinyCheckpoint(join(folder, 'changed-checkpoint'));
    const out = join(folder, 'changed');
    await convertCheckpoint({ checkpoint, out });
    appendFileSync(join(out, 'tokenizer.json'), ' ');
    await expect(loadPipeline(out)).rejects.toThrow(BundleError);
    await expect(loadPipeline(out)).rejects.toThrow('tokenizer.json');
  });

  it('loadPipeline() refuses a folder that holds no bundle', async () => {
    await expect(loadPipeline(folder)).rejects.toThrow(BundleError);
  });
});

/** `[sampler, steps, guidance, first latents, mean, mean |·|, image[0, -3:, -3:, -1] row by row]` by diffusers. */
const REFERENCE_RUNS = [
  [
    'lcm',
    4,
    0,
    [-131.707382, -171.052811, -129.057724, 270.869263, 169.771484, 395.052216],
    -43.4857,
    200.9339,
    [1.0, 0.4881, 0.3589, 1.0, 0.6668, 0.5096, 0.9727, 0.8232, 0.6193],
  ],
  [
    'dpm-solver++',
    4,
    4.5,
    [161.595581, -535.125671, 175.077316, -126.430626, 438.068756, 81.983788],
    -81.1361,
    406.3638,
    [0.9403, 0.5971, 0.4934, 0.7551, 0.4655, 0.5696, 0.8108, 0.7255, 0.7192],
  ],
  [
    'dpm-solver++',
    14,
    4.5,
    [126.878067, -349.019226, 101.40786, -9.510924, 389.23996, 175.052933],
    -63.301,
    278.1552,
    [1.0, 0.667, 0.483, 0.8967, 0.5043, 0.5226, 0.878, 0.7885, 0.695],
  ],
  [
    'sa-solver',
    10,
    3,
    [134.276047, -424.946136, 131.145065, -94.176331, 455.007446, 113.79834],
    -66.2203,
    227.0917,
    [1.0, 0.5788, 0.4376, 1.0, 0.5991, 0.4793, 0.8695, 0.8671, 0.6222],
  ],
  [
    'ddim',
    20,
    4.5,
    [117.467155, -253.372894, 114.478302, -30.562681, 278.218567, 89.083534],
    -59.0613,
    203.1976,
    [1.0, 0.6159, 0.4629, 0.8308, 0.5531, 0.5833, 0.8629, 0.8456, 0.7017],
  ],
] as const;

/**
 * The whole chain against a float32 reference without any weights file: hash-filled networks, linear betas,
 * CPU generator with seed 0. The networks are no denoisers, so latents grow to hundreds, and errors count relative to
 * their mean size.
 */
describe('PixArtLcmPipeline', () => {
  const out = join(folder, 'portable');
  beforeAll(async () => {
    const checkpoint = writeFixtureCheckpoint(join(folder, 'portable-checkpoint'));
    await convertCheckpoint({ checkpoint, out, precision: 'fp32' });
  });

  it.each(REFERENCE_RUNS)(
    'PixArtLcmPipeline.generate() on hash-filled networks reaches the reference: %s, %i steps, guidance %d',
    async (sampler, numInferenceSteps, guidanceScale, first, mean, size, slice) => {
      await using models = await createModels(await loadBundle(out));
      const { transformer, vaeDecoder } = models;
      const prompt = hashInput('prompt_embeds', [1, 5, 32]).slice(0, 3 * 32); // mask 1 1 1 0 0
      const negative = hashInput('negative_prompt_embeds', [1, 5, 32]).slice(0, 32); // mask 1 0 0 0 0
      let latents = new Float32Array();
      const steps = { min: 1, max: 100, default: 4 };
      const pipeline = new PixArtLcmPipeline({
        info: {
          ...FAKE_INFO,
          native_size: [16, 16],
          sizes: [[16, 16]],
          alpha: false,
          samplers: { [sampler]: { steps } },
          guidance: { min: 0, max: 20, default: 4.5 },
        },
        tokenizer: {
          maxSequenceLength: 5,
          encode: (text) => {
            const inputIds = text === '' ? Int32Array.of(1) : Int32Array.of(2, 3, 1);
            return { inputIds, droppedText: '', unknownWords: [] };
          },
        },
        schedulers: createSchedulers([sampler], { prediction_type: 'epsilon' }),
        textEncoder: {
          encode: (inputIds) => transformer.condition(inputIds.length === 1 ? negative : prompt),
        },
        transformer,
        vaeDecoder: {
          channels: 3,
          scaleFactor: vaeDecoder.scaleFactor,
          scalingFactor: vaeDecoder.scalingFactor,
          decode: (args) => {
            latents = args.latents.slice();
            return vaeDecoder.decode(args);
          },
        },
        dispose: () => models.dispose(),
      });
      const request = { ...options, width: 16, height: 16, seed: 0 };
      const { image } = await pipeline.generate({
        ...request,
        sampler,
        numInferenceSteps,
        guidanceScale,
      });

      const meanOf = (values: Float32Array) => values.reduce((a, b) => a + b, 0) / values.length;
      for (const [i, value] of first.entries()) {
        expect(Math.abs(latents[i]! - value)).toBeLessThanOrEqual(1e-4 * size);
      }
      expect(Math.abs(meanOf(latents) - mean)).toBeLessThanOrEqual(1e-4 * size);
      expect(Math.abs(meanOf(latents.map(Math.abs)) - size)).toBeLessThanOrEqual(1e-4 * size);
      const corner = [13, 14, 15].flatMap((row) =>
        [13, 14, 15].map((column) => image.data[(row * 16 + column) * 3 + 2]!),
      );
      for (const [i, value] of slice.entries()) {
        expect(Math.abs(corner[i]! - value * 255)).toBeLessThanOrEqual(1); // half a step of rounding, and the digits printed
      }
    },
  );
});
