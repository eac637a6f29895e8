import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../../gpu-fn/convert/convert.ts';
import { createModels } from '../../../gpu-fn/models/load-models.ts';
import { loadPipeline } from '../../../gpu-fn/pipeline/load-pipeline.ts';
import { PixArtLcmPipeline } from '../../../gpu-fn/pipeline/pixart-lcm.ts';
import { BundleError, loadBundle } from '../../../gpu-fn/runtime/bundle.ts';
import { createLcmScheduler } from '../../../gpu-fn/schedulers/lcm.ts';
import { FAKE_INFO } from '../../helpers/fake-pipeline.ts';
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

/**
 * The whole chain against a float32 reference without any weights file: hash-filled networks, linear betas,
 * CPU generator with seed 0, LCM with 4 steps. The reference's values are written out below; the networks are
 * no denoisers, so latents grow to hundreds, and errors count relative to their mean size.
 */
describe('PixArtLcmPipeline', () => {
  it('PixArtLcmPipeline.generate() on hash-filled networks reaches the reference latents and picture', async () => {
    const checkpoint = writeTinyCheckpoint(join(folder, 'portable-checkpoint'), {
      dtypes: 'float32',
      textEncoder: { d_model: 32, d_kv: 8, num_heads: 4, d_ff: 64 },
      transformer: {
        sample_size: 8,
        num_attention_heads: 3,
        attention_head_dim: 8,
        cross_attention_dim: 24,
        caption_channels: 32,
        out_channels: 8,
      },
      vae: {
        in_channels: 3,
        out_channels: 3,
        block_out_channels: [32, 64],
        down_block_types: Array(2).fill('DownEncoderBlock2D'),
        up_block_types: Array(2).fill('UpDecoderBlock2D'),
        norm_num_groups: 32,
        scaling_factor: 0.18215,
      },
      scheduler: { prediction_type: 'epsilon' },
      edge: { native_size: 16, sizes: [[16, 16]], alpha: false },
    });
    const out = join(folder, 'portable');
    await convertCheckpoint({ checkpoint, out, precision: 'fp32' });
    await using models = await createModels(await loadBundle(out));
    const { transformer, vaeDecoder } = models;
    const promptEmbeds = hashInput('prompt_embeds', [1, 5, 32]).slice(0, 3 * 32); // mask 1 1 1 0 0
    let latents = new Float32Array();
    const pipeline = new PixArtLcmPipeline({
      info: { ...FAKE_INFO, native_size: [16, 16], sizes: [[16, 16]], alpha: false },
      tokenizer: {
        maxSequenceLength: 5,
        encode: () => ({ inputIds: Int32Array.of(2, 3, 1), droppedText: '', unknownWords: [] }),
      },
      schedulers: new Map([['lcm', createLcmScheduler({ prediction_type: 'epsilon' })]]),
      textEncoder: { encode: () => transformer.condition(promptEmbeds) },
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
    const { image } = await pipeline.generate({ ...options, width: 16, height: 16, seed: 0 });

    const mean = (values: Float32Array) => values.reduce((a, b) => a + b, 0) / values.length;
    const scale = 200.9339; // the reference's mean |latent|
    const first = [-131.707382, -171.052811, -129.057724, 270.869263, 169.771484, 395.052216];
    for (const [i, value] of first.entries()) {
      expect(Math.abs(latents[i]! - value)).toBeLessThanOrEqual(1e-4 * scale);
    }
    expect(Math.abs(mean(latents) - -43.4857)).toBeLessThanOrEqual(1e-4 * scale);
    expect(Math.abs(mean(latents.map(Math.abs)) - scale)).toBeLessThanOrEqual(1e-4 * scale);

    // image[0, -3:, -3:, -1], row-major
    const slice = [1.0, 0.4881, 0.3589, 1.0, 0.6668, 0.5096, 0.9727, 0.8232, 0.6193];
    const corner = [13, 14, 15].flatMap((row) =>
      [13, 14, 15].map((column) => image.data[(row * 16 + column) * 3 + 2]!),
    );
    for (const [i, value] of slice.entries()) {
      expect(Math.abs(corner[i]! - value * 255)).toBeLessThanOrEqual(1); // half a step of rounding, and the digits printed
    }
  });
});
