import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  OnnxPixArtTransformer,
  type PixArtPrompt,
} from '../../../gpu-fn/models/pixart-transformer.ts';
import { liveSessionCount } from '../../../gpu-fn/runtime/session.ts';
import { type FixtureBundle, fixtureBundle } from '../../helpers/hash-checkpoint.ts';
import { hashInput } from '../../helpers/hash-tensor.ts';

let fixture: FixtureBundle;
let transformer: OnnxPixArtTransformer;
let prompt: PixArtPrompt;
beforeAll(async () => {
  fixture = await fixtureBundle();
  transformer = await OnnxPixArtTransformer.load(fixture.bundle);
  prompt = await transformer.condition(hashInput('prompt', [1, 3, 32]));
});
afterAll(async () => {
  await transformer[Symbol.asyncDispose]();
  expect(liveSessionCount()).toBe(0);
  await fixture[Symbol.asyncDispose]();
});

const latents = hashInput('latents', [1, 4, 8, 8]);
const size = { latents, height: 8, width: 8 };

describe('OnnxPixArtTransformer.predict()', () => {
  it('gives the same bytes again, in any order of timesteps and sizes', async () => {
    const first = await transformer.predict({ ...size, timestep: 999, prompt });
    const other = await transformer.predict({ ...size, timestep: 1, prompt });
    await transformer.predict({
      latents: hashInput('w', [1, 4, 4, 8]),
      height: 4,
      width: 8,
      timestep: 999,
      prompt,
    });
    expect(await transformer.predict({ ...size, timestep: 999, prompt })).toEqual(first);
    expect(await transformer.predict({ ...size, timestep: 1, prompt })).toEqual(other);
    expect(other).not.toEqual(first);
  });

  it('does not write to its inputs', async () => {
    const before = latents.slice();
    await transformer.predict({ ...size, timestep: 500, prompt });
    expect(latents).toEqual(before);
  });

  it('refuses latents of another size, sizes that patches do not divide, and foreign prompts', async () => {
    const predict = (change: object) =>
      transformer.predict({ ...size, timestep: 0, prompt, ...change });
    await expect(predict({ width: 10 })).rejects.toThrow(RangeError);
    await expect(predict({ height: 7, latents: latents.slice(0, 4 * 7 * 8) })).rejects.toThrow(
      RangeError,
    );
    await expect(predict({ prompt: { tokenCount: 3 } })).rejects.toThrow(TypeError);
  });
});

describe('OnnxPixArtTransformer.condition()', () => {
  it('refuses embeddings of another width and none at all', async () => {
    await expect(transformer.condition(new Float32Array(33))).rejects.toThrow(RangeError);
    await expect(transformer.condition(new Float32Array(0))).rejects.toThrow(RangeError);
  });
});

describe('a transformer with micro-conditions', () => {
  it('asks for the resolution', async () => {
    await using conditioned = await fixtureBundle({ microConditions: true });
    await using model = await OnnxPixArtTransformer.load(conditioned.bundle);
    const own = await model.condition(hashInput('prompt', [1, 3, 32]));
    await expect(model.predict({ ...size, timestep: 0, prompt: own })).rejects.toThrow(
      'resolution',
    );
  });
});
