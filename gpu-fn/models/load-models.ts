/** The three networks of a bundle, opened together and released together. */
import { AdapterStore } from '../adapters/adapter-store.ts';
import type { ControlNetwork, TextEncoder } from '../pipeline/components.ts';
import type { Bundle } from '../runtime/bundle.ts';
import { Adaptations } from './adaptations.ts';
import { EdgeControl } from './edge-control.ts';
import { OnnxPixArtTransformer } from './pixart-transformer.ts';
import { T5Encoder } from './t5-encoder.ts';
import { OnnxVaeDecoder } from './vae-decoder.ts';

export interface Models extends AsyncDisposable {
  readonly textEncoder: TextEncoder;
  readonly transformer: OnnxPixArtTransformer;
  readonly vaeDecoder: OnnxVaeDecoder;
  /** absent: the model follows no edges */
  readonly controlNetwork?: ControlNetwork;
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
  const owned = stack.move();
  const dispose = () => owned.disposeAsync();
  return {
    textEncoder: {
      async encode(inputIds, loras = []) {
        const adaptation = await adaptations.of(loras);
        return await transformer.condition(await encoder.embed(inputIds), adaptation);
      },
    },
    transformer,
    vaeDecoder,
    ...(controlNetwork && { controlNetwork }),
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
