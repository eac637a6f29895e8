import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { convertCheckpoint } from '../../../gpu-fn/convert/convert.ts';
import { OnnxPixArtTransformer } from '../../../gpu-fn/models/pixart-transformer.ts';
import { loadBundle } from '../../../gpu-fn/runtime/bundle.ts';
import { largestDifference } from '../../helpers/compare-tensors.ts';
import { writeFixtureCheckpoint } from '../../helpers/hash-checkpoint.ts';
import { hashInput } from '../../helpers/hash-tensor.ts';
import { temporaryFolder } from '../../helpers/temporary-folder.ts';

/** Relative to the mean magnitude of the output: float32 sums in another order. */
const TOLERANCE = 1e-4;
const TOKENS = 260;

it('a PixArt-Σ checkpoint loads with 300 tokens, without micro-conditions, and agrees with diffusers', async () => {
  await using folder = temporaryFolder();
  const checkpoint = writeFixtureCheckpoint(`${folder.path}/checkpoint`, {
    transformer: { sample_size: 128, interpolation_scale: 2, use_additional_conditions: false },
  });
  const index = { _class_name: 'PixArtSigmaPipeline' };
  writeFileSync(`${checkpoint}/model_index.json`, JSON.stringify(index));
  const vae = JSON.parse(readFileSync(`${checkpoint}/vae/config.json`, 'utf8'));
  writeFileSync(
    `${checkpoint}/vae/config.json`,
    JSON.stringify({ ...vae, scaling_factor: 0.13025 }),
  );
  const edge = JSON.parse(readFileSync(`${checkpoint}/pixart-edge.json`, 'utf8'));
  delete edge.max_sequence_length;
  writeFileSync(`${checkpoint}/pixart-edge.json`, JSON.stringify(edge));
  await convertCheckpoint({ checkpoint, out: `${folder.path}/bundle`, precision: 'fp32' });
  const bundle = await loadBundle(`${folder.path}/bundle`);
  expect(bundle.manifest.text.max_sequence_length).toBe(300);
  expect(bundle.manifest.vae.scaling_factor).toBe(0.13025);

  await using transformer = await OnnxPixArtTransformer.load(bundle);
  const output = await transformer.predict({
    latents: hashInput('hidden_states', [1, 4, 8, 12]),
    height: 8,
    width: 12,
    timestep: 500,
    prompt: await transformer.condition(hashInput('encoder_hidden_states', [1, TOKENS, 32])),
  });
  const golden = JSON.parse(
    readFileSync(new URL('../../fixtures/golden/sigma/sigma.json', import.meta.url), 'utf8'),
  ) as { first: number[]; last: number[]; mean_magnitude: number };
  const limit = TOLERANCE * golden.mean_magnitude;
  expect(largestDifference(output.slice(0, 12), golden.first)).toBeLessThan(limit);
  expect(largestDifference(output.slice(-12), golden.last)).toBeLessThan(limit);
});
