import { describe, expect, it } from 'vitest';
import {
  type Manifest,
  manifestSchema,
  revisionOf,
  withRevision,
} from '../../../gpu-fn/runtime/manifest.ts';

const DIGEST = 'a'.repeat(64);

const manifest: Manifest = manifestSchema.parse({
  format: 1,
  id: 'pixart-edge/tiny',
  revision: DIGEST,
  target: 'cpu',
  precision: 'int8',
  numeric_class: 'cpu-int8',
  license: 'Apache-2.0',
  files: {
    'denoise.onnx': { bytes: 1, sha256: DIGEST },
    'tokenizer.json': { bytes: 2, sha256: DIGEST },
  },
  graphs: { denoise: { model: 'denoise.onnx' } },
  tokenizer: 'tokenizer.json',
  text: { max_sequence_length: 64, channels: 64, vocab_size: 128, clean_caption: false },
  transformer: {
    latent_channels: 4,
    width: 64,
    num_layers: 2,
    patch_size: 2,
    sample_size: 8,
    interpolation_scale: 1,
    use_additional_conditions: false,
  },
  vae: { channels: 3, latent_channels: 4, scale_factor: 8, scaling_factor: 0.18215 },
  scheduler: { _class_name: 'LCMScheduler', lambda_min_clipped: null },
  info: {
    id: 'pixart-edge/tiny',
    revision: DIGEST,
    numeric_class: 'cpu-int8',
    license: 'Apache-2.0',
    native_size: [64, 64],
    sizes: 'bins',
    max_sequence_length: 64,
    alpha: false,
    clean_caption: false,
    samplers: { lcm: { steps: { min: 1, max: 8, default: 4 } } },
    default_sampler: 'lcm',
    guidance: { min: 0, max: 0, default: 0 },
  },
});

describe('withRevision()', () => {
  it('states one revision in both places, whatever stood there', () => {
    const { revision, info } = withRevision(manifest);
    expect(revision).toMatch(/^[0-9a-f]{64}$/);
    expect(info.revision).toBe(revision);
    expect(revisionOf(withRevision(manifest))).toBe(revision);
    expect(revisionOf({ ...manifest, revision: 'b'.repeat(64) })).toBe(revision);
  });

  it('does not depend on the order of keys', () => {
    const reversed = Object.fromEntries(Object.entries(manifest).toReversed()) as Manifest;
    expect(revisionOf(reversed)).toBe(revisionOf(manifest));
  });

  it('changes with a file’s digest and with any setting', () => {
    const files = { ...manifest.files, 'denoise.onnx': { bytes: 1, sha256: 'c'.repeat(64) } };
    const changed = [
      { ...manifest, files },
      { ...manifest, license: 'MIT' },
      { ...manifest, scheduler: { ...manifest.scheduler, prediction_type: 'epsilon' } },
      { ...manifest, info: { ...manifest.info, alpha: true } },
    ];
    const revisions = [manifest, ...changed].map(revisionOf);
    expect(new Set(revisions).size).toBe(5);
  });
});
