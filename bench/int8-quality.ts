/**
 * What the int8 engine costs: the int8 bundle against the fp32 bundle of one checkpoint, network by network on equal
 * inputs and end to end, over 16 prompts.
 *
 *     node bench/int8-quality.ts [CHECKPOINT]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { convertCheckpoint } from '../gpu-fn/convert/convert.ts';
import { psnr, sqnr } from './measures.ts';
import { loadTracedPipeline, type TracedPipeline } from './traced-pipeline.ts';

const PROMPTS = [
  'a happy cactus in the desert',
  'a red apple on a white background',
  'a blue whale, flat style',
  'a golden cat on a transparent background',
  'a green car, 3d style',
  'a slice of pizza',
  'a yellow sunflower on a blue background',
  'a rocket',
  'a brown dog on a pink background',
  'a purple butterfly',
  'an orange fish, line style',
  'a house on a gradient background',
  'a cup of coffee',
  'a white rabbit on a green background',
  'a bicycle',
  'a black guitar',
];
const STEPS = 4;
const checkpoint =
  process.argv[2] ?? fileURLToPath(new URL('../models/stickers-nano', import.meta.url));

const folder = await mkdtemp(path.join(tmpdir(), 'pixart-edge-int8-'));
try {
  await using exact = await open('fp32');
  await using quantised = await open('int8');
  const rows: Record<string, number[]> = {};
  for (const [seed, prompt] of PROMPTS.entries()) {
    const measured = await compare(exact, quantised, { prompt, seed, steps: STEPS });
    for (const [name, value] of Object.entries(measured)) {
      rows[name] = [...(rows[name] ?? []), value];
    }
  }
  console.log(
    `| int8 against fp32, ${PROMPTS.length} prompts, ${STEPS} steps | mean dB | worst dB |\n|---|---|---|`,
  );
  for (const [name, values] of Object.entries(rows)) {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    console.log(`| ${name} | ${mean.toFixed(1)} | ${Math.min(...values).toFixed(1)} |`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function open(precision: 'fp32' | 'int8'): Promise<TracedPipeline> {
  const out = path.join(folder, precision);
  await convertCheckpoint({ checkpoint, out, precision });
  return await loadTracedPipeline(out);
}

async function compare(
  exact: TracedPipeline,
  quantised: TracedPipeline,
  options: { prompt: string; seed: number; steps: number },
): Promise<Record<string, number>> {
  const reference = await exact.draw(options);
  const other = await quantised.draw(options);
  const decoded = await quantised.decode({
    latents: reference.latents,
    height: reference.latentHeight,
    width: reference.latentWidth,
  });
  const noisePred = await quantised.predictFirst(options, reference.promptEmbeds);
  return {
    'text encoder, embeddings, SQNR': sqnr(other.promptEmbeds, reference.promptEmbeds),
    'transformer, first output on fp32 embeddings, SQNR': sqnr(noisePred, reference.firstNoisePred),
    'VAE, picture from fp32 latents, PSNR': psnr(decoded, reference.picture),
    'end to end, latents, SQNR': sqnr(other.latents, reference.latents),
    'end to end, picture, PSNR': psnr(other.picture, reference.picture),
  };
}
