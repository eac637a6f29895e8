import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdapterStore } from '../../../gpu-fn/adapters/adapter-store.ts';
import { Adaptations } from '../../../gpu-fn/models/adaptations.ts';
import { OnnxPixArtTransformer } from '../../../gpu-fn/models/pixart-transformer.ts';
import type { AppliedLora } from '../../../gpu-fn/pipeline/components.ts';
import { liveSessionCount } from '../../../gpu-fn/runtime/session.ts';
import { largestDifference, relativeError } from '../../helpers/compare-tensors.ts';
import { type FixtureBundle, fixtureBundle } from '../../helpers/hash-checkpoint.ts';
import { hashInput } from '../../helpers/hash-tensor.ts';
import { writeLora } from '../../helpers/lora-file.ts';
import { type TemporaryFolder, temporaryFolder } from '../../helpers/temporary-folder.ts';

/** Relative to the mean magnitude of the output: float32 sums in another order. */
const TOLERANCE = 1e-4;
const isAttention = (module: string) => /\.to_[qkv]$/.test(module);

interface Golden {
  readonly first: number[];
  readonly last: number[];
  readonly mean_magnitude: number;
}
const goldens = JSON.parse(
  await readFile(new URL('../../fixtures/golden/adapters/lora.json', import.meta.url), 'utf8'),
) as Record<string, Golden>;

let fixture: FixtureBundle;
let folder: TemporaryFolder;
let transformer: OnnxPixArtTransformer;
let adaptations: Adaptations;

beforeAll(async () => {
  fixture = await fixtureBundle({ microConditions: true });
  folder = temporaryFolder();
  const { modules } = new AdapterStore({ bundle: fixture.bundle });
  const at = (name: string) => `${folder.path}/${name}.safetensors`;
  // PEFT folder with its configuration.
  mkdirSync(`${folder.path}/peft`);
  writeLora(`${folder.path}/peft/adapter_model.safetensors`, { name: 'style', rank: 4, modules });
  const config = { peft_type: 'LORA', r: 4, lora_alpha: 8, use_rslora: false, use_dora: false };
  writeFileSync(`${folder.path}/peft/adapter_config.json`, JSON.stringify(config));
  mkdirSync(`${folder.path}/rslora`);
  writeLora(`${folder.path}/rslora/adapter_model.safetensors`, { name: 'style', rank: 4, modules });
  writeFileSync(
    `${folder.path}/rslora/adapter_config.json`,
    JSON.stringify({ ...config, lora_alpha: 4, use_rslora: true }),
  );
  // As the training scripts save it: no alpha, which is 8.
  const unet = (module: string, part: string) => `unet.${module}.${part}.weight`;
  writeLora(at('style'), { name: 'style', rank: 4, modules, spell: unet });
  const infix = (module: string, part: string) =>
    `base_model.model.${module}.${part}.default.weight`;
  writeLora(at('infix'), { name: 'style', rank: 4, modules, spell: infix });
  const kohya = (module: string, part: string) =>
    `lora_unet_${module.replaceAll('.', '_')}.${part === 'lora_A' ? 'lora_down' : 'lora_up'}.weight`;
  writeLora(at('kohya'), { name: 'style', rank: 4, modules, spell: kohya, alpha: 8 });
  const plain = (module: string, part: string) => `transformer.${module}.${part}.weight`;
  writeLora(at('touch'), { name: 'touch', rank: 2, modules, only: isAttention, spell: plain });
  transformer = await OnnxPixArtTransformer.load(fixture.bundle);
  adaptations = new Adaptations(new AdapterStore({ bundle: fixture.bundle, folder: folder.path }));
});
afterAll(async () => {
  await transformer[Symbol.asyncDispose]();
  expect(liveSessionCount()).toBe(0);
  await fixture[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

async function predict(
  loras: readonly AppliedLora[],
  { model = transformer, mixtures = adaptations } = {},
): Promise<Float32Array> {
  const embeds = hashInput('encoder_hidden_states', [1, 3, 32]);
  return await model.predict({
    latents: hashInput('hidden_states', [1, 4, 8, 8]),
    height: 8,
    width: 8,
    timestep: 999,
    prompt: await model.condition(embeds, await mixtures.of(loras)),
    resolution: [768, 1344],
    aspectRatio: 768 / 1344,
  });
}

function expectGolden(output: Float32Array, name: string): void {
  const { first, last, mean_magnitude: magnitude } = goldens[name]!;
  const limit = TOLERANCE * magnitude;
  expect(largestDifference(output.slice(0, first.length), first)).toBeLessThan(limit);
  expect(largestDifference(output.slice(-last.length), last)).toBeLessThan(limit);
}

describe('Adaptations', () => {
  it.each([
    ['none', []],
    ['peft', [{ id: 'peft', weight: 1 }]],
    ['rslora', [{ id: 'rslora', weight: 1 }]],
    ['peft', [{ id: 'style', weight: 1 }]],
    ['peft', [{ id: 'infix', weight: 1 }]],
    ['peft', [{ id: 'kohya', weight: 1 }]],
    ['half', [{ id: 'style', weight: 0.5 }]],
    ['attention', [{ id: 'touch', weight: 1 }]],
    [
      'both',
      [
        { id: 'style', weight: 0.7 },
        { id: 'touch', weight: -0.5 },
      ],
    ],
  ] as const)('draws %s as PEFT does, with %j', async (name, loras) => {
    expectGolden(await predict(loras), name);
  });

  it('leaves the base as it was, in any order, and applies nothing at weight 0', async () => {
    const base = await predict([]);
    const style = await predict([{ id: 'style', weight: 1 }]);
    expect(await predict([{ id: 'style', weight: 0 }])).toEqual(base);
    await predict([{ id: 'touch', weight: 2 }]);
    expect(await predict([])).toEqual(base);
    expect(await predict([{ id: 'style', weight: 1 }])).toEqual(style);
  });

  it('changes an 8-bit model as it changes the floats', async () => {
    await using int8 = await fixtureBundle({ microConditions: true, precision: 'int8' });
    await using model = await OnnxPixArtTransformer.load(int8.bundle);
    const mixtures = new Adaptations(
      new AdapterStore({ bundle: int8.bundle, folder: folder.path }),
    );
    const loras = [{ id: 'style', weight: 1 }];
    const output = await predict(loras, { model, mixtures });
    expect(relativeError(output, await predict(loras))).toBeLessThan(0.05);
    expect(relativeError(output, await predict([]))).toBeGreaterThan(0.3);
  });

  it('says which adapter is not there', async () => {
    await expect(predict([{ id: 'nobody', weight: 1 }])).rejects.toMatchObject({
      code: 'adapter_not_found',
      param: 'loras',
    });
    await expect(predict([{ id: '../style', weight: 1 }])).rejects.toMatchObject({
      code: 'adapter_not_found',
    });
  });
});
