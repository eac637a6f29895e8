import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OnnxPixArtTransformer } from '../../../../gpu-fn/models/pixart-transformer.ts';
import { largestDifference, mean, meanMagnitude } from '../../../helpers/compare-tensors.ts';
import { type FixtureBundle, fixtureBundle } from '../../../helpers/hash-checkpoint.ts';
import { hashInput } from '../../../helpers/hash-tensor.ts';

/** Relative to the mean magnitude of the output: float32 sums in another order, values given to 6 decimals. */
const TOLERANCE = 1e-4;
const CAPTION_CHANNELS = 32;

const both = hashInput('encoder_hidden_states', [2, 5, CAPTION_CHANNELS]);
/** Real tokens of each row: masks [1,1,1,0,0] and [1,0,0,0,0]; pads are dropped. */
const text = [both.slice(0, 3 * CAPTION_CHANNELS), both.slice(5 * 32, 6 * CAPTION_CHANNELS)];

describe('the transformer without micro-conditions', () => {
  let fixture: FixtureBundle;
  let transformer: OnnxPixArtTransformer;
  beforeAll(async () => {
    fixture = await fixtureBundle();
    transformer = await OnnxPixArtTransformer.load(fixture.bundle);
  });
  afterAll(async () => {
    await transformer[Symbol.asyncDispose]();
    await fixture[Symbol.asyncDispose]();
  });

  it('predicts what diffusers predicts at two timesteps and text lengths', async () => {
    const latents = hashInput('hidden_states', [2, 4, 8, 8]);
    const outputs: Float32Array[] = [];
    for (const [i, timestep] of [999, 250].entries()) {
      outputs.push(
        await transformer.predict({
          latents: latents.slice(i * 256, (i + 1) * 256),
          height: 8,
          width: 8,
          timestep,
          prompt: await transformer.condition(text[i]!),
        }),
      );
    }
    const scale = 0.9928597;
    expect(
      largestDifference(
        outputs[0]!.slice(0, 6),
        [-0.018062, 0.59207, 1.622719, -2.101537, -0.227149, -2.643584],
      ),
    ).toBeLessThan(TOLERANCE * scale);
    expect(
      largestDifference(
        outputs[1]!.slice(0, 6),
        [1.001947, -1.12605, 2.614653, -2.784283, 1.684077, -1.226967],
      ),
    ).toBeLessThan(TOLERANCE * scale);
  });

  it('predicts what diffusers predicts on a grid that is not square', async () => {
    const output = await transformer.predict({
      latents: hashInput('hidden_states', [1, 4, 8, 12]),
      height: 8,
      width: 12,
      timestep: 999,
      prompt: await transformer.condition(text[0]!),
    });
    expect(output.length).toBe(4 * 8 * 12);
    expect(
      largestDifference(
        output.slice(0, 6),
        [0.523875, -0.931466, 1.727977, -1.429454, 0.804135, -3.04261],
      ),
    ).toBeLessThan(TOLERANCE * 0.9774552);
  });
});

describe('the transformer with micro-conditions', () => {
  it('predicts what diffusers predicts for two resolutions and aspect ratios', async () => {
    await using fixture = await fixtureBundle({ microConditions: true });
    await using transformer = await OnnxPixArtTransformer.load(fixture.bundle);
    const latents = hashInput('hidden_states', [2, 4, 8, 8]);
    const conditions = [
      { timestep: 999, resolution: [1024, 1024], aspectRatio: 1 },
      { timestep: 250, resolution: [768, 1344], aspectRatio: 768 / 1344 },
    ] as const;
    const expected = [
      [-0.171132, -0.368116, 0.894761, -2.490217, -0.636222, -3.358524],
      [0.739462, -1.904986, 2.442362, -3.698267, 2.566124, -2.372945],
    ];
    for (const [i, condition] of conditions.entries()) {
      const output = await transformer.predict({
        latents: latents.slice(i * 256, (i + 1) * 256),
        height: 8,
        width: 8,
        prompt: await transformer.condition(text[i]!),
        ...condition,
      });
      expect(largestDifference(output.slice(0, 6), expected[i]!)).toBeLessThan(TOLERANCE);
      expect(Number.isFinite(mean(output)) && meanMagnitude(output) > 0.5).toBe(true);
    }
  });
});
