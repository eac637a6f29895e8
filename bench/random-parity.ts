/**
 * `npm run parity:random -- [SEED…]`: random small models, drawn by diffusers and by this pipeline, picture by picture.
 *
 * For each seed `training/parity/random_model.py` builds a checkpoint and its pictures; here the checkpoint is converted
 * in fp32 and the same pictures are drawn. One line per picture; exit code 1 when one is below 50 dB. Needs the packages
 * of `training/goldens/README.md` in the Python named by PYTHON (default: `python3`).
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { convertCheckpoint } from '../gpu-fn/convert/convert.ts';
import { decodeMask, decodePicture } from '../gpu-fn/image/decode-picture.ts';
import type { Edit } from '../gpu-fn/pipeline/components.ts';
import { loadPipeline } from '../gpu-fn/pipeline/load-pipeline.ts';
import { ROOT } from '../scripts/node-runtime.js';
import { psnr } from './measures.ts';

interface Case {
  readonly picture: string;
  readonly prompt: string;
  readonly negative_prompt: string;
  readonly seed: number;
  readonly sampler: string;
  readonly steps: number;
  readonly guidance: number;
  readonly size: readonly [width: number, height: number];
  readonly image?: string;
  readonly mask?: string;
  readonly strength?: number;
}

const SCRIPT = path.join(ROOT, 'training/parity/random_model.py');
const PYTHON = process.env.PYTHON ?? 'python3';
const PSNR_MIN = 50;
const SEEDS = [0, 1, 2, 3];

const given = process.argv.slice(2).map(Number);
const folder = await mkdtemp(path.join(tmpdir(), 'pixart-edge-parity-'));
try {
  const worst: number[] = [];
  for (const seed of given.length > 0 ? given : SEEDS) worst.push(await compare(seed));
  const least = Math.min(...worst);
  process.stdout.write(`worst of all: ${least.toFixed(1)} dB\n`);
  process.exitCode = least >= PSNR_MIN ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** @returns the worst PSNR of the seed's pictures, in dB */
async function compare(seed: number): Promise<number> {
  const out = path.join(folder, String(seed));
  await python(SCRIPT, String(seed), out);
  const read = (name: string) => readFile(path.join(out, name));
  const { model, cases } = JSON.parse((await read('cases.json')).toString('utf8')) as {
    model: unknown;
    cases: Case[];
  };
  process.stdout.write(`seed ${seed}: ${JSON.stringify(model)}\n`);
  const bundle = path.join(out, 'bundle');
  await convertCheckpoint({
    checkpoint: path.join(out, 'checkpoint'),
    out: bundle,
    precision: 'fp32',
  });
  await using pipeline = await loadPipeline(bundle);
  let worst = Number.POSITIVE_INFINITY;
  for (const item of cases) {
    const [width, height] = item.size;
    const edit = item.image === undefined ? undefined : await readEdit(item, read);
    const { image } = await pipeline.generate({
      prompt: item.prompt,
      negativePrompt: item.negative_prompt,
      width,
      height,
      numInferenceSteps: item.steps,
      guidanceScale: item.guidance,
      seed: item.seed,
      sampler: item.sampler,
      sizePolicy: 'exact',
      background: 'opaque',
      ...(edit && { edit }),
    });
    const expected = await sharp(await read(item.picture))
      .raw()
      .toBuffer();
    const decibels = psnr(image.data, new Uint8Array(expected));
    worst = Math.min(worst, decibels);
    const start = item.image === undefined ? 'text' : item.mask === undefined ? 'image' : 'mask';
    const columns = [
      item.sampler.padEnd(12),
      `guidance ${item.guidance}`,
      `${width}x${height}`,
      start,
    ];
    process.stdout.write(`  ${columns.join('  ')}  ${decibels.toFixed(1)} dB\n`);
  }
  return worst;
}

async function readEdit(item: Case, read: (name: string) => Promise<Buffer>): Promise<Edit> {
  const image = await decodePicture(await read(item.image!), { param: 'image' });
  const strength = item.strength ?? 1;
  if (item.mask === undefined) return { image, strength };
  return { image, strength, mask: await decodeMask(await read(item.mask), { param: 'mask' }) };
}

function python(...args: string[]): Promise<void> {
  const child = spawn(PYTHON, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
  });
  return new Promise((resolve, reject) => {
    child.on('error', (cause) => reject(new Error(`${PYTHON} does not start`, { cause })));
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${path.basename(SCRIPT)} failed with code ${code}`));
    });
  });
}
