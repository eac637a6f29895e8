/**
 * Claim: converting a model of any size needs bounded memory (under 3 GB) and time proportional to its bytes.
 *
 * Writes a checkpoint with random weights shard by shard, converts it in a process of its own, reports time, peak
 * memory and bundle sizes, and removes everything.
 *
 *   npx node bench/convert-full-shape.ts [--scale full|transformer|small] [--dir FOLDER] [--keep]
 *
 * `full`: PixArt-XL-2 1024 (0.61 B) with T5 v1.1 XXL (4.76 B, sharded) and the published VAE, bfloat16; needs about
 * 18 GB of disk. `--keep` leaves the bundle, for bench/draw-full-shape.ts. `transformer`: the same with a one-layer text encoder, 3 GB. `small`: seconds, for a first look.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  checkpointBytes,
  type RandomCheckpointOptions,
  randomCheckpointShapes,
  writeRandomCheckpoint,
} from '../tests/helpers/random-checkpoint.ts';

const T5_XXL = {
  vocab_size: 32128,
  d_model: 4096,
  d_kv: 64,
  d_ff: 10240,
  num_layers: 24,
  num_heads: 64,
};
const PIXART_XL = {
  num_layers: 28,
  num_attention_heads: 16,
  attention_head_dim: 72,
  cross_attention_dim: 1152,
  caption_channels: 4096,
  in_channels: 4,
  out_channels: 8,
  sample_size: 128,
  interpolation_scale: 2,
  use_additional_conditions: true,
};
const SD_VAE = {
  in_channels: 3,
  out_channels: 3,
  block_out_channels: [128, 256, 512, 512],
  layers_per_block: 2,
  norm_num_groups: 32,
  scaling_factor: 0.18215,
};

type Scale = 'full' | 'transformer' | 'small';

const SCALES: Readonly<Record<Scale, Omit<RandomCheckpointOptions, 'onBytes'>>> = {
  full: { textEncoder: T5_XXL, transformer: PIXART_XL, vae: SD_VAE, shardBytesMax: 5e9 },
  transformer: {
    textEncoder: { ...T5_XXL, vocab_size: 128, num_layers: 1 },
    transformer: PIXART_XL,
    vae: SD_VAE,
    shardBytesMax: 5e9,
  },
  small: {
    textEncoder: { vocab_size: 32128, d_model: 512, d_ff: 1024, num_layers: 4, num_heads: 8 },
    transformer: { ...PIXART_XL, num_layers: 4, caption_channels: 512 },
    vae: {},
    shardBytesMax: 2e7,
  },
};

/** The bundle has about half the bytes of a bfloat16 checkpoint; the rest is caution. */
const BUNDLE_SHARE = 0.65;

const { values: flags } = parseArgs({
  options: {
    scale: { type: 'string', default: 'small' },
    dir: { type: 'string', default: tmpdir() },
    keep: { type: 'boolean', default: false },
  },
});
const scale = flags.scale as Scale;
if (!Object.hasOwn(SCALES, scale))
  throw new Error(`--scale ${scale} is not full, transformer or small`);

const options = SCALES[scale];
const bytes = checkpointBytes(randomCheckpointShapes(options));
const needed = bytes * (1 + BUNDLE_SHARE) + 5e8;
const disk = await statfs(flags.dir);
const free = disk.bavail * disk.bsize;
if (free < needed) {
  throw new Error(
    `${flags.dir} has ${gigabytes(free)} free; --scale ${scale} needs ${gigabytes(needed)}`,
  );
}

const folder = await mkdtemp(join(flags.dir, 'convert-full-shape-'));
try {
  const started = performance.now();
  writeRandomCheckpoint(join(folder, 'checkpoint'), options);
  const writeSeconds = (performance.now() - started) / 1000;
  console.log(
    `${scale}: checkpoint of ${gigabytes(bytes)} written in ${writeSeconds.toFixed(1)} s`,
  );

  const result = await convert(join(folder, 'checkpoint'), join(folder, 'bundle'));
  console.log(
    `converted in ${result.seconds.toFixed(1)} s, peak memory ${(result.max_rss_bytes / 1e6).toFixed(0)} MB, bundle ${gigabytes(result.bytes)}`,
  );
  for (const name of (await readdir(join(folder, 'bundle'))).toSorted()) {
    const { size } = await stat(join(folder, 'bundle', name));
    console.log(`  ${name.padEnd(22)} ${(size / 1e6).toFixed(1).padStart(9)} MB`);
  }
} finally {
  if (flags.keep) await rm(join(folder, 'checkpoint'), { recursive: true, force: true });
  else await rm(folder, { recursive: true, force: true });
}

interface ConvertResult {
  readonly seconds: number;
  readonly bytes: number;
  readonly max_rss_bytes: number;
}

async function convert(checkpoint: string, out: string): Promise<ConvertResult> {
  const main = join(import.meta.dirname, '../gpu-fn/convert/main.ts');
  const child = spawn(
    process.execPath,
    [main, '--checkpoint', checkpoint, '--out', out, '--id', 'bench/random', '--json'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let output = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) output += chunk;
  return JSON.parse(output) as ConvertResult;
}

function gigabytes(count: number): string {
  return `${(count / 1e9).toFixed(2)} GB`;
}
