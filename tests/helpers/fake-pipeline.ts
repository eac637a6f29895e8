/** A pipeline whose networks are plain arithmetic: fast, and every value can be worked out by hand. */
import type { ModelInfo } from '#shared/schemas/model.ts';
import type { PredictArgs } from '../../gpu-fn/pipeline/components.ts';
import { type PipelineParts, PixArtLcmPipeline } from '../../gpu-fn/pipeline/pixart-lcm.ts';
import { createLcmScheduler } from '../../gpu-fn/schedulers/lcm.ts';
import {
  buildTokenizerJson,
  parseSentencePieceModel,
} from '../../gpu-fn/tokenizer/sentencepiece-model.ts';
import { createTokenizer } from '../../gpu-fn/tokenizer/tokenizer.ts';
import { encodeSpieceModel, smallVocabulary } from './spiece-model.ts';

export const FAKE_INFO: ModelInfo = {
  id: 'test/fake',
  revision: '0'.repeat(64),
  numeric_class: 'cpu-fp32',
  license: 'Apache-2.0',
  native_size: [64, 64],
  sizes: [
    [64, 64],
    [96, 64],
  ],
  max_sequence_length: 16,
  alpha: true,
  clean_caption: false,
  samplers: { lcm: { steps: { min: 1, max: 8, default: 4 } } },
  default_sampler: 'lcm',
  guidance: { min: 0, max: 1, default: 0 },
};

export interface FakePipeline {
  readonly pipeline: PixArtLcmPipeline;
  /** What each network was called with, in order. */
  readonly calls: {
    readonly inputIds: number[][];
    readonly predicts: PredictArgs[];
    readonly decodes: {
      readonly latents: Float32Array;
      readonly height: number;
      readonly width: number;
    }[];
    disposed: number;
  };
}

const SCALE_FACTOR = 8;

/**
 * The transformer predicts ε = 0.5·x, the decoder paints every cell of the first latent channel as grey
 * with alpha 255 (or `alpha`).
 *
 * @param replace  parts to put in place of the fakes
 */
export function createFakePipeline(
  replace: Partial<PipelineParts> = {},
  { alpha = 255 }: { alpha?: number } = {},
): FakePipeline {
  const calls: FakePipeline['calls'] = { inputIds: [], predicts: [], decodes: [], disposed: 0 };
  const info = replace.info ?? FAKE_INFO;
  const channels = info.alpha ? 4 : 3;
  const words = ['a', 'cat', 'on', 'transparent', 'background', 'red'];
  const model = parseSentencePieceModel(encodeSpieceModel(smallVocabulary(words)));
  const pipeline = new PixArtLcmPipeline({
    info,
    tokenizer: createTokenizer(buildTokenizerJson(model), {
      maxSequenceLength: info.max_sequence_length,
    }),
    schedulers: new Map([['lcm', createLcmScheduler({})]]),
    textEncoder: {
      encode: (inputIds) => {
        calls.inputIds.push([...inputIds]);
        return Promise.resolve({ tokenCount: inputIds.length });
      },
    },
    transformer: {
      latentChannels: 4,
      predict: (args) => {
        calls.predicts.push(args);
        return Promise.resolve(args.latents.map((x) => 0.5 * x));
      },
    },
    vaeDecoder: {
      channels,
      scaleFactor: SCALE_FACTOR,
      scalingFactor: 1,
      decode: (args) => {
        calls.decodes.push(args);
        return Promise.resolve(paint(args, channels, alpha));
      },
    },
    latentRgb: { factors: Array.from({ length: 4 }, () => [0.25, 0.25, 0.25]), bias: [0, 0, 0] },
    now: counter(),
    dispose: () => {
      calls.disposed += 1;
      return Promise.resolve();
    },
    ...replace,
  });
  return { pipeline, calls };
}

function paint(
  { latents, height, width }: { latents: Float32Array; height: number; width: number },
  channels: 3 | 4,
  alpha: number,
): Uint8Array {
  const [rows, columns] = [height * SCALE_FACTOR, width * SCALE_FACTOR];
  return Uint8Array.from({ length: rows * columns * channels }, (_, i) => {
    if (i % channels === 3) return alpha;
    const pixel = Math.floor(i / channels);
    const row = Math.floor(pixel / columns / SCALE_FACTOR);
    const column = Math.floor((pixel % columns) / SCALE_FACTOR);
    return Math.min(Math.max(Math.round(128 + latents[row * width + column]!), 0), 255);
  });
}

/** A clock that goes on by one millisecond whenever it is looked at. */
function counter(): () => number {
  let time = 0;
  return () => time++;
}
