/**
 * A quantised bundle against the float32 bundle of the same checkpoint: error of each network on equal inputs, so
 * that one network's error is not counted again in the next.
 */
import { readFile } from 'node:fs/promises';
import { OnnxPixArtTransformer } from '../models/pixart-transformer.ts';
import { T5Encoder } from '../models/t5-encoder.ts';
import { OnnxVaeDecoder } from '../models/vae-decoder.ts';
import { OnnxVaeEncoder } from '../models/vae-encoder.ts';
import { type Bundle, BundleError } from '../runtime/bundle.ts';
import { floatData } from '../runtime/session.ts';
import { createRandom } from '../tensor/random.ts';
import { createTokenizer } from '../tokenizer/tokenizer.ts';
import { parseTokenizerJson } from '../tokenizer/tokenizer-json.ts';
import { drawPicture } from './calibrate.ts';

export interface Comparison {
  readonly text: {
    /** √(Σ(a − b)² / Σb²) over all prompts */
    readonly relativeError: number;
    /** smallest cosine of one token's embedding */
    readonly cosineMin: number;
  };
  /** cross-attention keys and values */
  readonly promptRelativeError: number;
  readonly denoise: readonly { readonly timestep: number; readonly relativeError: number }[];
  /** peak signal-to-noise ratio of decoded bytes, in dB; pictures are null without a VAE encoder */
  readonly decode: { readonly picturePsnr: number | null; readonly noisePsnr: number };
}

export const COMPARED_PROMPTS: readonly string[] = [
  'a red apple on a white background',
  'a happy cactus in the desert, flat style',
  'cat',
];
/** The timesteps of LCM with four steps. */
const TIMESTEPS: readonly number[] = [999, 759, 499, 259];
/** Calibration draws the first ones. */
const FIRST_PICTURE = 40;
const PICTURE_COUNT = 4;
const SEED = 7;

/**
 * @throws {BundleError} when the bundles hold different models
 */
export async function compareBundles(reference: Bundle, candidate: Bundle): Promise<Comparison> {
  const { transformer: config } = reference.manifest;
  if (JSON.stringify(config) !== JSON.stringify(candidate.manifest.transformer)) {
    throw new BundleError(`${candidate.folder} holds another model than ${reference.folder}`);
  }
  const texts = await embedPrompts(reference);
  const text = compareTexts(texts, await embedPrompts(candidate));

  const side = config.sample_size;
  const noise = createRandom(SEED).normal(config.latent_channels * side * side);
  const expected = await predictAll(reference, texts, noise);
  const actual = await predictAll(candidate, texts, noise);

  const pictures = reference.hasGraph('vae_encoder') ? await encodePictures(reference, side) : [];
  const decoded = await decodeAll(reference, [noise, ...pictures], side);
  const candidates = await decodeAll(candidate, [noise, ...pictures], side);
  const psnrs = decoded.map((pixels, i) => pixelPsnr(pixels, candidates[i]!));
  return {
    text,
    promptRelativeError: relativeError(actual.prompts, expected.prompts),
    denoise: TIMESTEPS.map((timestep, i) => ({
      timestep,
      relativeError: relativeError([actual.noisePreds[i]!], [expected.noisePreds[i]!]),
    })),
    decode: {
      noisePsnr: psnrs[0]!,
      picturePsnr: pictures.length > 0 ? Math.min(...psnrs.slice(1)) : null,
    },
  };
}

interface EmbeddedText {
  readonly embeds: Float32Array;
  readonly tokenCount: number;
}

async function embedPrompts(bundle: Bundle): Promise<EmbeddedText[]> {
  const { max_sequence_length: maxSequenceLength } = bundle.manifest.text;
  const json = parseTokenizerJson(await readFile(bundle.tokenizerPath, 'utf8'));
  const tokenizer = createTokenizer(json, { maxSequenceLength });
  await using encoder = await T5Encoder.load(bundle);
  const texts: EmbeddedText[] = [];
  for (const prompt of COMPARED_PROMPTS) {
    const { inputIds } = tokenizer.encode(prompt);
    texts.push({ embeds: await encoder.embed(inputIds), tokenCount: inputIds.length });
  }
  return texts;
}

function compareTexts(
  expected: readonly EmbeddedText[],
  actual: readonly EmbeddedText[],
): Comparison['text'] {
  let cosineMin = 1;
  for (const [i, { embeds, tokenCount }] of expected.entries()) {
    const width = embeds.length / tokenCount;
    for (let token = 0; token < tokenCount; token += 1) {
      const [begin, end] = [token * width, (token + 1) * width];
      const cosine = cosineOf(embeds.subarray(begin, end), actual[i]!.embeds.subarray(begin, end));
      cosineMin = Math.min(cosineMin, cosine);
    }
  }
  const all = (texts: readonly EmbeddedText[]) => texts.map(({ embeds }) => embeds);
  return { relativeError: relativeError(all(actual), all(expected)), cosineMin };
}

async function predictAll(bundle: Bundle, texts: readonly EmbeddedText[], noise: Float32Array) {
  const { sample_size: side } = bundle.manifest.transformer;
  const { scale_factor: factor } = bundle.manifest.vae;
  await using transformer = await OnnxPixArtTransformer.load(bundle);
  const prompts: Float32Array[] = [];
  const noisePreds: Float32Array[] = [];
  const conditioned = [];
  for (const { embeds } of texts) {
    const prompt = await transformer.condition(embeds);
    prompts.push(floatData(prompt.keys), floatData(prompt.values));
    conditioned.push(prompt);
  }
  for (const timestep of TIMESTEPS) {
    noisePreds.push(
      await transformer.predict({
        latents: noise,
        height: side,
        width: side,
        timestep,
        prompt: conditioned[0]!,
        resolution: [side * factor, side * factor],
        aspectRatio: 1,
      }),
    );
  }
  return { prompts, noisePreds };
}

async function encodePictures(bundle: Bundle, side: number): Promise<Float32Array[]> {
  const { vae } = bundle.manifest;
  const pixels = side * vae.scale_factor;
  await using encoder = await OnnxVaeEncoder.load(bundle);
  const latents: Float32Array[] = [];
  for (let i = 0; i < PICTURE_COUNT; i += 1) {
    const sample = drawPicture(FIRST_PICTURE + i, pixels, vae.channels);
    const { mean } = await encoder.encode({ sample, height: pixels, width: pixels });
    latents.push(mean.map((value) => value * vae.scaling_factor));
  }
  return latents;
}

async function decodeAll(
  bundle: Bundle,
  latents: readonly Float32Array[],
  side: number,
): Promise<Uint8Array[]> {
  await using decoder = await OnnxVaeDecoder.load(bundle);
  const pictures: Uint8Array[] = [];
  for (const one of latents) {
    pictures.push(await decoder.decode({ latents: one, height: side, width: side }));
  }
  return pictures;
}

function relativeError(actual: readonly Float32Array[], expected: readonly Float32Array[]): number {
  let error = 0;
  let power = 0;
  for (const [i, values] of expected.entries()) {
    for (const [j, value] of values.entries()) {
      error += (actual[i]![j]! - value) ** 2;
      power += value ** 2;
    }
  }
  return Math.sqrt(error / power);
}

function cosineOf(a: Float32Array, b: Float32Array): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (const [i, value] of a.entries()) {
    dot += value * b[i]!;
    aa += value ** 2;
    bb += b[i]! ** 2;
  }
  return dot / Math.sqrt(aa * bb);
}

function pixelPsnr(a: Uint8Array, b: Uint8Array): number {
  let error = 0;
  for (const [i, value] of a.entries()) error += (value - b[i]!) ** 2;
  return 10 * Math.log10((255 ** 2 * a.length) / error);
}

/** The comparison as lines of text. */
export function formatComparison({
  text,
  promptRelativeError,
  denoise,
  decode,
}: Comparison): string {
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`;
  const decibel = (value: number) => `${value.toFixed(1)} dB`;
  return [
    `text encoder   error ${percent(text.relativeError)}, least cosine ${text.cosineMin.toFixed(5)}`,
    `keys, values   error ${percent(promptRelativeError)}`,
    ...denoise.map(
      (d) => `denoise t=${String(d.timestep).padEnd(4)} error ${percent(d.relativeError)}`,
    ),
    `VAE decoder    ${decibel(decode.noisePsnr)} on noise${decode.picturePsnr === null ? '' : `, ${decibel(decode.picturePsnr)} on drawn pictures (least)`}`,
  ].join('\n');
}
