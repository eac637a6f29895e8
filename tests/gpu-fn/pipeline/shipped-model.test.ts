/**
 * The shipped checkpoint against diffusers: the same prompt, seed and steps through PixArtAlphaPipeline, made by
 * training/goldens/pipeline.py. "fp32" on both sides are the shipped int8 weights, expanded.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { psnr, relativeError, sqnr } from '../../../bench/measures.ts';
import { loadTracedPipeline, type TracedPipeline } from '../../../bench/traced-pipeline.ts';
import { convertCheckpoint } from '../../../gpu-fn/convert/convert.ts';
import {
  buildTokenizerJson,
  parseSentencePieceModel,
} from '../../../gpu-fn/tokenizer/sentencepiece-model.ts';
import { createTokenizer } from '../../../gpu-fn/tokenizer/tokenizer.ts';

const CHECKPOINT = fileURLToPath(new URL('../../../models/stickers-nano', import.meta.url));
const GOLDEN = fileURLToPath(new URL('../../fixtures/golden/stickers-nano', import.meta.url));
const FIXTURE_IDS = fileURLToPath(
  new URL('../../fixtures/golden/tokenizer/ids.json.gz', import.meta.url),
);
const COMPONENTS = ['scheduler', 'text_encoder', 'tokenizer', 'transformer', 'vae'];
const REMEDY = 'run `npm run goldens` and commit tests/fixtures/golden/stickers-nano';

interface Golden {
  readonly checkpoint_digest: string;
  readonly cases: readonly { prompt: string; seed: number; steps: number }[];
}
interface Tensors {
  readonly prompt_embeds: readonly number[];
  readonly first_noise_pred: readonly number[];
  readonly latents: readonly number[];
}

const unzip = (file: string): unknown =>
  JSON.parse(gunzipSync(readFileSync(file)).toString('utf8'));
const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');

/** As `checkpoint_digest` of training/goldens/pipeline.py. */
function checkpointDigest(): string {
  const paths = COMPONENTS.flatMap((component) =>
    readdirSync(join(CHECKPOINT, component), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) =>
        relative(CHECKPOINT, join(entry.parentPath, entry.name)).replaceAll('\\', '/'),
      ),
  ).sort();
  const lines = paths.map((path) => `${path}\n${sha256(readFileSync(join(CHECKPOINT, path)))}\n`);
  return sha256(lines.join(''));
}

/** @throws when the golden was made from other weights than those in the tree */
function readGolden(): Golden {
  if (!existsSync(join(GOLDEN, 'golden.json'))) {
    throw new Error(`there are no goldens of models/stickers-nano: ${REMEDY}`);
  }
  const golden = JSON.parse(readFileSync(join(GOLDEN, 'golden.json'), 'utf8')) as Golden;
  if (golden.checkpoint_digest !== checkpointDigest()) {
    throw new Error(`models/stickers-nano has changed since its goldens were made: ${REMEDY}`);
  }
  return golden;
}

const folder = mkdtempSync(join(tmpdir(), 'pixart-edge-shipped-'));
const opened = new AsyncDisposableStack();
let golden: Golden;
let tensors: readonly Tensors[];
let fp32: TracedPipeline;
let int8: TracedPipeline;

beforeAll(async () => {
  golden = readGolden();
  tensors = unzip(join(GOLDEN, 'tensors.json.gz')) as Tensors[];
  const open = async (precision: 'fp32' | 'int8') => {
    const out = join(folder, precision);
    await convertCheckpoint({ checkpoint: CHECKPOINT, out, precision });
    return opened.use(await loadTracedPipeline(out));
  };
  fp32 = await open('fp32');
  int8 = await open('int8');
});
afterAll(async () => {
  await opened.disposeAsync();
  rmSync(folder, { recursive: true, force: true });
});

const pictureOf = async (index: number) =>
  new Uint8Array(
    await sharp(join(GOLDEN, `picture-${index}.png`))
      .raw()
      .toBuffer(),
  );

describe('models/stickers-nano', () => {
  it('models/stickers-nano in fp32 draws what diffusers draws, 50 dB PSNR or more', async () => {
    for (const [index, options] of golden.cases.entries()) {
      const { picture } = await fp32.draw(options);
      expect(psnr(picture, await pictureOf(index))).toBeGreaterThanOrEqual(50);
    }
  });

  it('models/stickers-nano in fp32 computes the embeddings, predictions and latents of diffusers', async () => {
    for (const [index, options] of golden.cases.entries()) {
      const trace = await fp32.draw(options);
      const expected = tensors[index]!;
      // float32 sums in another order; the goldens keep six digits; latents gather the error of every step
      expect(relativeError(trace.promptEmbeds, expected.prompt_embeds)).toBeLessThanOrEqual(1e-4);
      expect(relativeError(trace.firstNoisePred, expected.first_noise_pred)).toBeLessThanOrEqual(
        2e-4,
      );
      expect(relativeError(trace.latents, expected.latents)).toBeLessThanOrEqual(1e-3);
    }
  });

  // Floors well below what bench/int8-quality.ts measures, so that only a broken quantiser falls through.
  it('models/stickers-nano in int8 stays near fp32, network by network and end to end', async () => {
    for (const options of golden.cases) {
      const exact = await fp32.draw(options);
      const other = await int8.draw(options);
      const decoded = await int8.decode({
        latents: exact.latents,
        height: exact.latentHeight,
        width: exact.latentWidth,
      });
      const noisePred = await int8.predictFirst(options, exact.promptEmbeds);
      expect(sqnr(other.promptEmbeds, exact.promptEmbeds)).toBeGreaterThanOrEqual(20);
      expect(sqnr(noisePred, exact.firstNoisePred)).toBeGreaterThanOrEqual(12);
      expect(psnr(decoded, exact.picture)).toBeGreaterThanOrEqual(40);
      expect(psnr(other.picture, exact.picture)).toBeGreaterThanOrEqual(25);
    }
  });

  it('models/stickers-nano tokenises 10,000 prompts as Python sentencepiece does', () => {
    const { prompts } = unzip(FIXTURE_IDS) as { prompts: string[] };
    const { ids } = unzip(join(GOLDEN, 'ids.json.gz')) as { ids: number[][] };
    const model = parseSentencePieceModel(readFileSync(join(CHECKPOINT, 'tokenizer/spiece.model')));
    const tokenizer = createTokenizer(buildTokenizerJson(model), { maxSequenceLength: 4096 });
    const wrong = prompts.filter(
      (prompt, i) => tokenizer.encode(prompt).inputIds.slice(0, -1).join() !== ids[i]?.join(),
    );
    expect(prompts).toHaveLength(10_000);
    expect(wrong).toEqual([]);
  });
});
