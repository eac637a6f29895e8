/** Bundle on disk → pipeline: reads, checks and wires; draws nothing itself. */
import { readFile } from 'node:fs/promises';
import { createModels } from '../models/load-models.ts';
import { loadBundle } from '../runtime/bundle.ts';
import { createSchedulers } from '../schedulers/create-schedulers.ts';
import { createTokenizer } from '../tokenizer/tokenizer.ts';
import { parseTokenizerJson } from '../tokenizer/tokenizer-json.ts';
import { PixArtLcmPipeline } from './pixart-lcm.ts';

export interface LoadPipelineOptions {
  /** threads of one run of one network; default 1 */
  readonly threads?: number;
  /** folder of adapters beside those of the bundle */
  readonly adapters?: string | undefined;
  readonly signal?: AbortSignal;
}

/**
 * @param bundleFolder  a folder that `npm run convert` wrote; every file is compared with its digest
 * @throws {BundleError} when the folder holds no intact bundle
 * @throws {TokenizerFormatError | SchedulerError | SessionError} when a part of it cannot be used
 */
export async function loadPipeline(
  bundleFolder: string,
  { threads = 1, adapters, signal }: LoadPipelineOptions = {},
): Promise<PixArtLcmPipeline> {
  const bundle = await loadBundle(bundleFolder, signal ? { signal } : {});
  const { info, text, scheduler, preview, vae } = bundle.manifest;
  if (info.alpha && vae.channels !== 4) {
    throw new RangeError(`${info.id} declares alpha, but its VAE has ${vae.channels} channels`);
  }
  const schedulers = createSchedulers(Object.keys(info.samplers), scheduler);
  const tokenizer = createTokenizer(
    parseTokenizerJson(await readFile(bundle.tokenizerPath, 'utf8')),
    { maxSequenceLength: text.max_sequence_length },
  );
  signal?.throwIfAborted();
  const models = await createModels(bundle, { threads, adapters });
  return new PixArtLcmPipeline({
    info,
    tokenizer,
    schedulers,
    ...models,
    ...(preview && {
      latentRgb: { factors: preview.latent_rgb_factors, bias: preview.latent_rgb_bias },
    }),
  });
}
