/**
 * The checkpoint of the portable fixtures: hash-filled weights of the shapes whose reference outputs are written
 * out in the tests, so that parity with diffusers and transformers needs neither Python nor a download.
 *
 * Reference values: float32 diffusers (transformer, VAE) and transformers (T5), six decimals.
 */
import { convertCheckpoint } from '../../gpu-fn/convert/convert.ts';
import { type Bundle, loadBundle } from '../../gpu-fn/runtime/bundle.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { writeTinyCheckpoint } from './tiny-checkpoint.ts';

export interface FixtureOptions {
  readonly microConditions?: boolean;
  readonly precision?: 'fp32' | 'int8';
  /** Configuration members of the transformer to replace. */
  readonly transformer?: Readonly<Record<string, unknown>>;
}

export function writeFixtureCheckpoint(
  folder: string,
  {
    microConditions = false,
    transformer,
  }: Pick<FixtureOptions, 'microConditions' | 'transformer'> = {},
): string {
  return writeTinyCheckpoint(folder, {
    dtypes: 'float32',
    words: ['a'],
    textEncoder: { vocab_size: 64, d_model: 32, d_kv: 8, num_heads: 4, d_ff: 64, num_layers: 2 },
    transformer: {
      sample_size: 8,
      num_layers: 2,
      patch_size: 2,
      num_attention_heads: 3,
      attention_head_dim: 8,
      caption_channels: 32,
      cross_attention_dim: 24,
      in_channels: 4,
      out_channels: 8,
      interpolation_scale: 1,
      use_additional_conditions: microConditions,
      ...transformer,
    },
    vae: {
      in_channels: 3,
      out_channels: 3,
      latent_channels: 4,
      block_out_channels: [32, 64],
      layers_per_block: 1,
      norm_num_groups: 32,
      scaling_factor: 0.18215,
    },
    scheduler: { prediction_type: 'epsilon' },
    edge: { native_size: 16, sizes: [[16, 16]], alpha: false },
  });
}

export interface FixtureBundle extends AsyncDisposable {
  readonly bundle: Bundle;
}

/** Converts the fixture checkpoint into a temporary folder and loads the bundle. */
export async function fixtureBundle({
  precision = 'fp32',
  ...options
}: FixtureOptions = {}): Promise<FixtureBundle> {
  const folder = temporaryFolder();
  const checkpoint = writeFixtureCheckpoint(`${folder.path}/checkpoint`, options);
  await convertCheckpoint({ checkpoint, out: `${folder.path}/bundle`, precision });
  const bundle = await loadBundle(`${folder.path}/bundle`);
  return { bundle, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}
