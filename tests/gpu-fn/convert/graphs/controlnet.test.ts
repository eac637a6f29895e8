import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../../../gpu-fn/convert/convert.ts';
import { HedEdgeDetector } from '../../../../gpu-fn/models/edge-detector.ts';
import { OnnxPixArtTransformer } from '../../../../gpu-fn/models/pixart-transformer.ts';
import { type Bundle, loadBundle } from '../../../../gpu-fn/runtime/bundle.ts';
import { controlShapes, edgeDetectorShapes } from '../../../helpers/checkpoint-shapes.ts';
import { largestDifference, mean, meanMagnitude } from '../../../helpers/compare-tensors.ts';
import { writeFixtureCheckpoint } from '../../../helpers/hash-checkpoint.ts';
import { hashFilled, hashInput } from '../../../helpers/hash-tensor.ts';
import { type TemporaryFolder, temporaryFolder } from '../../../helpers/temporary-folder.ts';
import { writeTensors } from '../../../helpers/tiny-checkpoint.ts';

/** Relative to the mean magnitude of the output: float32 sums in another order, values given to 6 decimals. */
const TOLERANCE = 1e-4;
const CONTROL_BLOCKS = 2;
const both = hashInput('encoder_hidden_states', [2, 5, 32]);

let folder: TemporaryFolder;
let bundle: Bundle;
let transformer: OnnxPixArtTransformer;
beforeAll(async () => {
  folder = temporaryFolder();
  const checkpoint = writeFixtureCheckpoint(`${folder.path}/checkpoint`, {
    transformer: { num_layers: 4 },
  });
  mkdirSync(`${checkpoint}/controlnet`);
  const config = { _class_name: 'PixArtControlNetAdapterModel', num_layers: CONTROL_BLOCKS };
  writeFileSync(`${checkpoint}/controlnet/config.json`, JSON.stringify(config));
  writeTensors(
    `${checkpoint}/controlnet/diffusion_pytorch_model.safetensors`,
    controlShapes(24, CONTROL_BLOCKS),
    'float32',
  );
  writeTensors(`${checkpoint}/edge_detector/model.safetensors`, edgeDetectorShapes(), 'float32');
  await convertCheckpoint({ checkpoint, out: `${folder.path}/bundle`, precision: 'fp32' });
  bundle = await loadBundle(`${folder.path}/bundle`);
  transformer = await OnnxPixArtTransformer.load(bundle);
});
afterAll(async () => {
  await transformer[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** Row `i` of the batch of two whose reference values are written out below. */
async function predict(i: 0 | 1, scale?: number): Promise<Float32Array> {
  const row = (name: string) => hashInput(name, [2, 4, 8, 8]).slice(i * 256, (i + 1) * 256);
  const text = i === 0 ? both.slice(0, 3 * 32) : both.slice(5 * 32, 6 * 32);
  return await transformer.predict({
    latents: row('hidden_states'),
    height: 8,
    width: 8,
    timestep: [999, 250][i]!,
    prompt: await transformer.condition(text),
    ...(scale !== undefined && { control: { latents: row('controlnet_cond'), scale } }),
  });
}

describe('the control network', () => {
  it('makes the model one that can be controlled', () => {
    expect(bundle.manifest.info.capabilities).toContain('control');
  });

  it.each([
    [undefined, [0.093472, 1.050743, 1.044668, -1.013847, -0.137624, -1.768449]],
    [1, [-0.08497, -0.901371, 0.132938, 0.336884, -0.090673, -0.346746]],
    [0.5, [-0.074689, -0.160471, 0.617967, -0.246445, -0.097477, -0.806648]],
  ])('steers at scale %s as the reference does', async (scale, first) => {
    const output = await predict(0, scale);
    const limit = TOLERANCE * meanMagnitude(output);
    expect(largestDifference(output.slice(0, 6), first)).toBeLessThan(limit);
  });

  it('leaves the base as it is at scale 0', async () => {
    expect(await predict(1, 0)).toEqual(await predict(1));
    expect(await predict(1, 0.1)).not.toEqual(await predict(1));
  });

  it('refuses control latents of another size', async () => {
    const prompt = await transformer.condition(both.slice(0, 32));
    const control = { latents: new Float32Array(4), scale: 1 };
    const latents = hashInput('hidden_states', [1, 4, 8, 8]);
    await expect(
      transformer.predict({ latents, height: 8, width: 8, timestep: 1, prompt, control }),
    ).rejects.toThrow(RangeError);
  });
});

describe('the edge detector', () => {
  it('finds what the reference finds', async () => {
    await using detector = await HedEdgeDetector.load(bundle);
    const [height, width] = [32, 48];
    // The fixture describes the network after its first stage, which multiplies by 255.
    const image = hashFilled('hed_image', [1, 3, height, width], (r) => (2 * r) / 255);
    const edges = await detector.detect({ image, height, width });
    const first = [0.509106, 0.512052, 0.501638, 0.503078, 0.506862, 0.517595];
    expect(largestDifference(edges.slice(0, 6), first)).toBeLessThan(1e-4);
    const last = [0.502631, 0.502598, 0.510592];
    expect(largestDifference(edges.slice(-3), last)).toBeLessThan(1e-4);
    expect(mean(edges)).toBeCloseTo(0.5016929, 5);
  });

  it('refuses sides that four halvings do not divide', async () => {
    await using detector = await HedEdgeDetector.load(bundle);
    const image = new Float32Array(3 * 24 * 32);
    await expect(detector.detect({ image, height: 24, width: 32 })).rejects.toThrow(RangeError);
  });
});
