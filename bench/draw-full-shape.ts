/**
 * Claim: a model of the published size draws on a machine with less memory than its weights, one network at a time.
 *
 * Opens the text encoder, embeds a prompt and releases it; opens the transformer, takes its steps and releases it; opens
 * the VAE's decoder and writes a picture. Reports the time of each stage and the peak memory of the process.
 *
 *     node bench/convert-full-shape.ts --scale full --dir DIR --keep     # writes DIR/convert-full-shape-…/bundle
 *     node bench/draw-full-shape.ts --bundle DIR/convert-full-shape-…/bundle [--size 512] [--steps 4] [--memory-gb 8]
 *
 * `--size` is the side in pixels. `--memory-gb` is what the peak must stay below; the run fails otherwise. `--prepack`
 * lets the runtime rearrange weights for speed, which holds them twice while it loads.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { encodeImage } from '../gpu-fn/image/encode-image.ts';
import { OnnxPixArtTransformer, type PixArtPrompt } from '../gpu-fn/models/pixart-transformer.ts';
import { T5Encoder } from '../gpu-fn/models/t5-encoder.ts';
import { OnnxVaeDecoder } from '../gpu-fn/models/vae-decoder.ts';
import { assertFinite, initialLatents } from '../gpu-fn/pipeline/latents.ts';
import { loadBundle } from '../gpu-fn/runtime/bundle.ts';
import { createSchedulers } from '../gpu-fn/schedulers/create-schedulers.ts';
import { createRandom } from '../gpu-fn/tensor/random.ts';
import { createTokenizer } from '../gpu-fn/tokenizer/tokenizer.ts';
import { parseTokenizerJson } from '../gpu-fn/tokenizer/tokenizer-json.ts';

const PROMPT = 'A small cactus with a happy face in the Sahara desert.';

const { values: flags } = parseArgs({
  options: {
    bundle: { type: 'string' },
    size: { type: 'string', default: '512' },
    steps: { type: 'string', default: '4' },
    threads: { type: 'string', default: '1' },
    'memory-gb': { type: 'string', default: '8' },
    prepack: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});
if (flags.bundle === undefined) throw new Error('--bundle must name a converted model');

const bundle = await loadBundle(flags.bundle, { verify: false });
const { vae, text, transformer: config, scheduler } = bundle.manifest;
const options = { threads: Number(flags.threads), prepack: flags.prepack };
const side = Number(flags.size) / vae.scale_factor;
const tokenizer = createTokenizer(
  parseTokenizerJson(await readFile(bundle.tokenizerPath, 'utf8')),
  {
    maxSequenceLength: text.max_sequence_length,
  },
);

const embeds = await stage('text encoder', async () => {
  await using encoder = await T5Encoder.load(bundle, options);
  return await encoder.embed(tokenizer.encode(PROMPT).inputIds);
});
assertFinite(embeds, 'text encoder');

const latents = await stage(`transformer, ${flags.steps} steps`, async () => {
  await using transformer = await OnnxPixArtTransformer.load(bundle, options);
  return await denoise(transformer, await transformer.condition(embeds));
});

const pixels = await stage('VAE decoder', async () => {
  await using decoder = await OnnxVaeDecoder.load(bundle, options);
  return await decoder.decode({ latents, height: side, width: side });
});

if (flags.out !== undefined) {
  const image = {
    data: pixels,
    width: Number(flags.size),
    height: Number(flags.size),
    channels: vae.channels,
  };
  await writeFile(
    flags.out,
    await encodeImage(image, { format: 'png', quality: 90, info: bundle.manifest.info }),
  );
}
const peakGb = (process.resourceUsage().maxRSS * 1024) / 1e9;
console.log(`${flags.size} × ${flags.size} px, peak memory ${peakGb.toFixed(2)} GB`);
if (peakGb >= Number(flags['memory-gb'])) {
  console.error(`the peak is not below ${flags['memory-gb']} GB`);
  process.exitCode = 1;
}

async function denoise(
  transformer: OnnxPixArtTransformer,
  prompt: PixArtPrompt,
): Promise<Float32Array> {
  const lcm = createSchedulers(['lcm'], scheduler).get('lcm')!;
  const schedule = lcm.schedule(Number(flags.steps));
  const random = createRandom(0);
  const shape = { channels: config.latent_channels, height: side, width: side };
  let sample = initialLatents(shape, { random, initNoiseSigma: schedule.initNoiseSigma });
  for (const [stepIndex, timestep] of schedule.timesteps.entries()) {
    const started = performance.now();
    const noisePred = await transformer.predict({
      latents: sample,
      height: side,
      width: side,
      timestep,
      prompt,
      resolution: [Number(flags.size), Number(flags.size)],
      aspectRatio: 1,
    });
    assertFinite(noisePred, `step ${stepIndex}`);
    sample = schedule.step({ stepIndex, noisePred, sample, random }).prevSample;
    console.log(`  step ${stepIndex + 1}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }
  return sample;
}

async function stage<T>(name: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const result = await work();
  const seconds = (performance.now() - started) / 1000;
  const now = process.memoryUsage.rss() / 1e9;
  console.log(
    `${name.padEnd(24)} ${seconds.toFixed(1).padStart(7)} s, ${now.toFixed(2)} GB after it`,
  );
  return result;
}
