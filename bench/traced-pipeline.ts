/** A pipeline that also hands out what each network computed, for comparisons between bundles and references. */
import { readFile } from 'node:fs/promises';
import { createModels } from '../gpu-fn/models/load-models.ts';
import type { VaeDecoder } from '../gpu-fn/pipeline/components.ts';
import { PixArtLcmPipeline } from '../gpu-fn/pipeline/pixart-lcm.ts';
import { loadBundle } from '../gpu-fn/runtime/bundle.ts';
import { createSchedulers } from '../gpu-fn/schedulers/create-schedulers.ts';
import { createRandom } from '../gpu-fn/tensor/random.ts';
import { createTokenizer } from '../gpu-fn/tokenizer/tokenizer.ts';
import { parseTokenizerJson } from '../gpu-fn/tokenizer/tokenizer-json.ts';

export interface TracedCase {
  readonly prompt: string;
  readonly seed: number;
  readonly steps: number;
}

export interface Trace {
  /** float32 `[T, C]` of the real tokens */
  readonly promptEmbeds: Float32Array;
  /** float32 `[1, C, H, W]`, the transformer's first output */
  readonly firstNoisePred: Float32Array;
  /** float32 `[1, C, H, W]`, what is decoded */
  readonly latents: Float32Array;
  readonly latentHeight: number;
  readonly latentWidth: number;
  /** uint8 `[height, width, channels]` as the VAE gave it: RGB on white, then alpha */
  readonly picture: Uint8Array;
}

export interface TracedPipeline extends AsyncDisposable {
  draw(options: TracedCase): Promise<Trace>;
  /** The VAE alone, on latents from elsewhere. */
  decode: VaeDecoder['decode'];
  /** The transformer's first step alone, on embeddings from elsewhere. */
  predictFirst(options: TracedCase, promptEmbeds: Float32Array): Promise<Float32Array>;
}

/** @throws what `loadPipeline()` throws */
export async function loadTracedPipeline(bundleFolder: string): Promise<TracedPipeline> {
  const bundle = await loadBundle(bundleFolder);
  const { info, text, scheduler } = bundle.manifest;
  const models = await createModels(bundle);
  const { textEncoder, transformer, vaeDecoder } = models;
  let trace: { -readonly [K in keyof Trace]?: Trace[K] } = {};
  const schedulers = createSchedulers(Object.keys(info.samplers), scheduler);
  const [width, height] = info.native_size;
  const cells = { height: height / vaeDecoder.scaleFactor, width: width / vaeDecoder.scaleFactor };
  const pipeline = new PixArtLcmPipeline({
    info,
    tokenizer: createTokenizer(parseTokenizerJson(await readFile(bundle.tokenizerPath, 'utf8')), {
      maxSequenceLength: text.max_sequence_length,
    }),
    schedulers,
    textEncoder: {
      async encode(inputIds) {
        const prompt = await textEncoder.encode(inputIds);
        trace = prompt.promptEmbeds ? { promptEmbeds: prompt.promptEmbeds } : {};
        return prompt;
      },
    },
    transformer: {
      latentChannels: transformer.latentChannels,
      async predict(args) {
        const noisePred = await transformer.predict(args);
        trace.firstNoisePred ??= noisePred.slice();
        return noisePred;
      },
    },
    vaeDecoder: {
      channels: vaeDecoder.channels,
      scaleFactor: vaeDecoder.scaleFactor,
      scalingFactor: vaeDecoder.scalingFactor,
      async decode(args) {
        const picture = await vaeDecoder.decode(args);
        trace.latents = args.latents.slice();
        trace.picture = picture.slice();
        return picture;
      },
    },
    dispose: () => models.dispose(),
  });
  return {
    async draw({ prompt, seed, steps }) {
      await pipeline.generate({
        prompt,
        seed,
        numInferenceSteps: steps,
        width,
        height,
        guidanceScale: 0,
        sampler: info.default_sampler,
        sizePolicy: 'exact',
        background: 'opaque',
      });
      const { promptEmbeds, firstNoisePred, latents, picture } = trace;
      if (!promptEmbeds || !firstNoisePred || !latents || !picture) {
        throw new Error('a network was not called, or does not show its output');
      }
      return {
        promptEmbeds,
        firstNoisePred,
        latents,
        latentHeight: cells.height,
        latentWidth: cells.width,
        picture,
      };
    },
    decode: (args) => vaeDecoder.decode(args),
    async predictFirst({ seed, steps }, promptEmbeds) {
      const [timestep = 0] = schedulers.get(info.default_sampler)?.schedule(steps).timesteps ?? [];
      const latents = createRandom(seed).normal(
        transformer.latentChannels * cells.height * cells.width,
      );
      const prompt = await transformer.condition(promptEmbeds);
      return await transformer.predict({
        latents,
        ...cells,
        timestep,
        prompt,
        resolution: [height, width],
        aspectRatio: height / width,
      });
    },
    [Symbol.asyncDispose]: () => models.dispose(),
  };
}
