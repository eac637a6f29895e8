import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ModuleShapes } from '../../../gpu-fn/adapters/adaptable-modules.ts';
import {
  type LoraLayers,
  parseAdapterConfig,
  readAdapter,
} from '../../../gpu-fn/adapters/read-adapter.ts';
import { openSafetensors } from '../../../gpu-fn/safetensors/safetensors.ts';
import { loraTensors } from '../../helpers/lora-file.ts';
import { encodeSafetensors, type TensorToWrite } from '../../helpers/safetensors-file.ts';
import { temporaryFolder } from '../../helpers/temporary-folder.ts';

const MODULES: ModuleShapes = new Map([
  ['pos_embed.proj', [6, 4, 2, 2]],
  ['transformer_blocks.0.attn1.to_q', [6, 6]],
  ['transformer_blocks.0.attn1.to_k', [6, 6]],
  ['transformer_blocks.0.attn1.to_v', [6, 6]],
]);
const Q = 'transformer_blocks.0.attn1.to_q';
const pair = (name = Q, rank = 2) =>
  loraTensors({ name: 'x', rank, modules: new Map([[name, [6, 6]]]) });
const floats = (shape: readonly number[], values?: Float32Array): TensorToWrite => ({
  dtype: 'F32',
  shape,
  data: values ?? new Float32Array(shape.reduce((a, b) => a * b, 1)),
});

async function read(
  tensors: Record<string, TensorToWrite>,
  metadata?: Record<string, string>,
): Promise<LoraLayers> {
  await using folder = temporaryFolder();
  const path = `${folder.path}/adapter.safetensors`;
  writeFileSync(path, encodeSafetensors(tensors, metadata));
  await using store = await openSafetensors(path);
  return await readAdapter(store, MODULES);
}

const scaleOf = (layers: LoraLayers) => {
  const unscaled = new Float32Array(pair()[`base_model.model.${Q}.lora_B.weight`]!.data.buffer);
  return layers.get(Q)!.b[0]! / unscaled[0]!;
};

describe('readAdapter()', () => {
  it('splits the fused layers of the original code', async () => {
    const layers = await read({
      'unet.blocks.0.attn.qkv.lora_A.weight': floats([2, 6]),
      'unet.blocks.0.attn.qkv.lora_B.weight': floats(
        [18, 2],
        Float32Array.from({ length: 36 }, (_, i) => Math.floor(i / 12) + 1),
      ),
    });
    const [q, k, v] = ['to_q', 'to_k', 'to_v'].map((n) =>
      layers.get(`transformer_blocks.0.attn1.${n}`),
    );
    // alpha 8 over rank 2
    expect([q!.b[0], k!.b[0], v!.b[0]]).toEqual([4, 8, 12]);
    expect(q!.b).toHaveLength(12);
  });

  it('takes alpha from the header that diffusers writes', async () => {
    const lora_adapter_metadata = JSON.stringify({
      'transformer.r': 2,
      'transformer.lora_alpha': 3,
    });
    expect(scaleOf(await read(pair(), { lora_adapter_metadata }))).toBeCloseTo(1.5, 6);
  });

  it('reads halves', async () => {
    const half = new Float16Array(12).fill(0.5);
    const layers = await read({
      [`${Q}.lora_A.weight`]: { dtype: 'F16', shape: [2, 6], data: half },
      [`${Q}.lora_B.weight`]: { dtype: 'F16', shape: [6, 2], data: half },
    });
    expect(layers.get(Q)!.a[0]).toBe(0.5);
  });

  const half = pair();
  delete half[`base_model.model.${Q}.lora_B.weight`];
  it.each<[string, Record<string, TensorToWrite>]>([
    ['no lora_A', {}],
    ['only lora_A', half],
    ['no module', pair('transformer_blocks.9.attn1.to_q')],
    ['no module', pair('text_model.encoder')],
    ['this model makes it', { ...pair(), ...wrongShape() }],
    ['belongs to no adapter', { ...pair(), 'optimizer.state': floats([1]) }],
    ['belongs to no adapter', { ...pair(), [`${'x'.repeat(5000)}.lora_A.weight`]: floats([1]) }],
    ['DoRA', { ...pair(), [`base_model.model.${Q}.lora_magnitude_vector`]: floats([6]) }],
    ['two of', { ...pair(), [`unet.${Q}.lora_A.weight`]: floats([2, 6]) }],
    ['rank 0', { [`${Q}.lora_A.weight`]: floats([0, 6]), [`${Q}.lora_B.weight`]: floats([6, 0]) }],
    [
      'rank 1025',
      { [`${Q}.lora_A.weight`]: floats([1025, 6]), [`${Q}.lora_B.weight`]: floats([6, 1025]) },
    ],
    [
      'NaN',
      {
        ...pair(),
        [`base_model.model.${Q}.lora_A.weight`]: floats(
          [2, 6],
          new Float32Array(12).fill(Number.NaN),
        ),
      },
    ],
    [
      'Infinity',
      {
        ...pair(),
        [`base_model.model.${Q}.lora_A.weight`]: floats(
          [2, 6],
          new Float32Array(12).fill(Infinity),
        ),
      },
    ],
    [
      'limit',
      {
        ...pair(),
        [`base_model.model.${Q}.lora_A.weight`]: floats([2, 6], new Float32Array(12).fill(1e30)),
      },
    ],
    [
      'no float',
      {
        ...pair(),
        [`base_model.model.${Q}.lora_A.weight`]: {
          dtype: 'I8',
          shape: [2, 6],
          data: new Int8Array(12),
        },
      },
    ],
    ['no number', { ...pair(), [`base_model.model.${Q}.alpha`]: floats([3]) }],
  ])('refuses a file with: %s', async (reason, tensors) => {
    await expect(read(tensors)).rejects.toMatchObject({
      code: 'adapter_invalid',
      detail: expect.stringContaining(reason),
    });
  });
});

function wrongShape(): Record<string, TensorToWrite> {
  return { [`base_model.model.${Q}.lora_A.weight`]: floats([2, 5]) };
}

describe('parseAdapterConfig()', () => {
  it.each([
    { use_dora: true },
    { bias: 'all' },
    { modules_to_save: ['proj_out'] },
    { peft_type: 'IA3' },
    { lora_alpha: -1 },
    { r: 4096 },
    'text',
    null,
  ])('refuses %j', (config) => {
    expect(() => parseAdapterConfig(config)).toThrow(/adapter_config/);
  });

  it('ignores what does not change the arithmetic', () => {
    expect(parseAdapterConfig({ r: 4, auto_mapping: null, base_model_name_or_path: '/x' })).toEqual(
      {
        peft_type: 'LORA',
        r: 4,
      },
    );
  });
});
