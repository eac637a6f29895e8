/** The networks of a bundle, opened together and released together. */
import { AdapterStore } from '../adapters/adapter-store.ts';
import type { ControlNetwork, TextEncoder } from '../pipeline/components.ts';
import { Recent } from '../recent.ts';
import type { Bundle } from '../runtime/bundle.ts';
import { Adaptations } from './adaptations.ts';
import { EdgeControl } from './edge-control.ts';
import { OnnxPixArtTransformer, type PixArtPrompt } from './pixart-transformer.ts';
import { T5Encoder } from './t5-encoder.ts';
import { OnnxVaeDecoder } from './vae-decoder.ts';
import { OnnxVaeEncoder } from './vae-encoder.ts';

/**
 * Texts whose keys and values are kept: the empty negative prompt is computed once, and so is the prompt of the pictures
 * of one request. One of XL with 120 tokens is 31 MB.
 */
const TEXTS_MAX = 4;

export interface Models extends AsyncDisposable {
  readonly textEncoder: TextEncoder;
  readonly transformer: OnnxPixArtTransformer;
  readonly vaeDecoder: OnnxVaeDecoder;
  /** absent: the model follows no edges */
  readonly controlNetwork?: ControlNetwork;
  /** for models that start from pictures */
  readonly vaeEncoder?: OnnxVaeEncoder;
  /** Releases every session; the models must not be used afterwards. */
  dispose(): Promise<void>;
}

export interface CreateModelsOptions {
  /** threads of one run; default 1 */
  readonly threads?: number;
  /** folder of adapters beside those of the bundle */
  readonly adapters?: string | undefined;
}

/**
 * @throws {SessionError} when a graph cannot be loaded
 */
export async function createModels(
  bundle: Bundle,
  { threads = 1, adapters }: CreateModelsOptions = {},
): Promise<Models> {
  const options = { threads, provider: bundle.manifest.target };
  await using stack = new AsyncDisposableStack();
  const encoder = stack.use(await T5Encoder.load(bundle, options));
  const transformer = stack.use(await OnnxPixArtTransformer.load(bundle, options));
  const vaeDecoder = stack.use(await OnnxVaeDecoder.load(bundle, options));
  const controlNetwork = bundle.manifest.info.capabilities?.includes('control')
    ? stack.use(new EdgeControl(bundle, options))
    : undefined;
  const adaptations = new Adaptations(new AdapterStore({ bundle, folder: adapters }));
  const vaeEncoder = bundle.hasGraph('vae_encoder')
    ? stack.use(await OnnxVaeEncoder.load(bundle, options))
    : undefined;
  const owned = stack.move();
  const dispose = () => owned.disposeAsync();
  const texts = new Recent<PixArtPrompt>(TEXTS_MAX);
  return {
    textEncoder: {
      async encode(inputIds, loras = []) {
        const adaptation = await adaptations.of(loras);
        const key = [adaptation?.key ?? '', ...inputIds].join(' ');
        const known = texts.get(key);
        if (known !== undefined) return known;
        const prompt = await transformer.condition(await encoder.embed(inputIds), adaptation);
        texts.set(key, prompt);
        return prompt;
      },
    },
    transformer,
    vaeDecoder,
    ...(controlNetwork && { controlNetwork }),
    ...(vaeEncoder && { vaeEncoder }),
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
