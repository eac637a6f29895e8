import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import {
  defaultSequenceLength,
  parsePythonJson,
  readConfig,
  textEncoderConfigSchema,
  transformerConfigSchema,
  vaeConfigSchema,
} from '../../../gpu-fn/convert/configs.ts';
import { CheckpointError } from '../../../gpu-fn/safetensors/errors.ts';
import { temporaryFolder } from '../../helpers/temporary-folder.ts';
import { tinyConfigs } from '../../helpers/tiny-checkpoint.ts';

/** `transformer/config.json` of PixArt-XL-2-1024-MS, the members that matter. */
const PUBLISHED = {
  _class_name: 'Transformer2DModel',
  activation_fn: 'gelu-approximate',
  attention_bias: true,
  attention_head_dim: 72,
  caption_channels: 4096,
  in_channels: 4,
  norm_elementwise_affine: false,
  norm_eps: 1e-6,
  norm_type: 'ada_norm_single',
  num_attention_heads: 16,
  num_layers: 28,
  out_channels: 8,
  patch_size: 2,
  sample_size: 128,
};

describe('parsePythonJson()', () => {
  it('takes the bare words that Python writes, and leaves strings alone', () => {
    const text = '{"a": -Infinity, "b": Infinity, "c": NaN, "d": "-Infinity, NaN \\" Infinity"}';
    expect(parsePythonJson(text, 'x')).toEqual({
      a: Number.NEGATIVE_INFINITY,
      b: Number.POSITIVE_INFINITY,
      c: null,
      d: '-Infinity, NaN " Infinity',
    });
  });

  it('refuses what is no JSON, naming the file', () => {
    expect(() => parsePythonJson('{"a": nan}', 'vae/config.json')).toThrow(
      new CheckpointError('vae/config.json: malformed JSON'),
    );
  });
});

describe('transformerConfigSchema', () => {
  it('gives published configurations the defaults that diffusers gives them', () => {
    const at = (sample_size: number) =>
      transformerConfigSchema.parse({ ...PUBLISHED, sample_size });
    expect(at(128)).toMatchObject({
      width: 1152,
      interpolation_scale: 2,
      use_additional_conditions: true,
    });
    expect(at(64)).toMatchObject({ interpolation_scale: 1, use_additional_conditions: false });
    expect(at(32)).toMatchObject({ interpolation_scale: 1, use_additional_conditions: false });
  });

  it('lets members that are present win', () => {
    const sigma = transformerConfigSchema.parse({
      ...PUBLISHED,
      _class_name: 'PixArtTransformer2DModel',
      use_additional_conditions: false,
      interpolation_scale: 4,
    });
    expect(sigma).toMatchObject({ interpolation_scale: 4, use_additional_conditions: false });
  });

  it.each([
    ['another norm', { norm_type: 'ada_norm' }],
    ['another activation', { activation_fn: 'geglu' }],
    ['attention without bias', { attention_bias: false }],
    ['outputs that are neither C nor 2C', { out_channels: 6 }],
    [
      'a width that has no quarters',
      { num_attention_heads: 1, attention_head_dim: 6, sample_size: 64 },
    ],
    ['a width without thirds and micro-conditions', { attention_head_dim: 64 }],
    ['another class', { _class_name: 'FluxTransformer2DModel' }],
    ['no layers', { num_layers: 0 }],
  ])('refuses %s', (_what, change) => {
    expect(transformerConfigSchema.safeParse({ ...PUBLISHED, ...change }).success).toBe(false);
  });
});

describe('vaeConfigSchema', () => {
  it('takes 0.18215 when there is no scaling factor, and what is there otherwise', () => {
    const { scaling_factor: _, ...rest } = tinyConfigs().vae;
    expect(vaeConfigSchema.parse(rest).scaling_factor).toBe(0.18215);
    expect(vaeConfigSchema.parse({ ...rest, scaling_factor: 0.13025 }).scaling_factor).toBe(
      0.13025,
    );
  });

  it.each([
    ['groups that do not divide the channels', { norm_num_groups: 3 }],
    ['two channels', { out_channels: 2 }],
    ['a shift', { shift_factor: 0.1 }],
  ])('refuses %s', (_what, change) => {
    expect(vaeConfigSchema.safeParse({ ...tinyConfigs().vae, ...change }).success).toBe(false);
  });
});

describe('readConfig()', () => {
  it('names the file and every wrong key', async () => {
    await using folder = temporaryFolder();
    const path = `${folder.path}/config.json`;
    const { d_model: _, ...rest } = tinyConfigs().textEncoder;
    await writeFile(path, JSON.stringify({ ...rest, feed_forward_proj: 'relu' }));
    const reading = readConfig(path, textEncoderConfigSchema);
    await expect(reading).rejects.toThrow(CheckpointError);
    await expect(reading).rejects.toThrow(/config\.json: d_model: .*; feed_forward_proj: /);
    await expect(readConfig(`${folder.path}/none.json`, textEncoderConfigSchema)).rejects.toThrow(
      'none.json cannot be read',
    );
  });
});

describe('defaultSequenceLength()', () => {
  it('is 120 for PixArt-α and 300 for PixArt-Σ', () => {
    expect(defaultSequenceLength({ _class_name: 'PixArtAlphaPipeline' })).toBe(120);
    expect(defaultSequenceLength({ _class_name: 'PixArtSigmaPipeline' })).toBe(300);
  });
});
