/** The three networks of a bundle, opened together and released together. */
import type { TextEncoder } from '../pipeline/components.ts';
import type { Bundle } from '../runtime/bundle.ts';
import { OnnxPixArtTransformer } from './pixart-transformer.ts';
import { T5Encoder } from './t5-encoder.ts';
import { OnnxVaeDecoder } from './vae-decoder.ts';

export interface Models extends AsyncDisposable {
  readonly textEncoder: TextEncoder;
  readonly transformer: OnnxPixArtTransformer;
  readonly vaeDecoder: OnnxVaeDecoder;
  /** Releases every session; the models must not be used afterwards. */
  dispose(): Promise<void>;
}

/**
 * @param options.threads  threads of one run; default 1
 * @throws {SessionError} when a graph cannot be loaded
 */
export async function createModels(
  bundle: Bundle,
  { threads = 1 }: { readonly threads?: number } = {},
): Promise<Models> {
  const options = { threads, provider: bundle.manifest.target };
  await using stack = new AsyncDisposableStack();
  const encoder = stack.use(await T5Encoder.load(bundle, options));
  const transformer = stack.use(await OnnxPixArtTransformer.load(bundle, options));
  const vaeDecoder = stack.use(await OnnxVaeDecoder.load(bundle, options));
  const owned = stack.move();
  const dispose = () => owned.disposeAsync();
  return {
    textEncoder: {
      async encode(inputIds) {
        return await transformer.condition(await encoder.embed(inputIds));
      },
    },
    transformer,
    vaeDecoder,
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
