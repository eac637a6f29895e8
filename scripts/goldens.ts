/**
 * `npm run goldens`: makes the expected values of the tests anew with the reference implementations in Python.
 * `npm run parity`: makes them in a temporary folder, compares with the committed ones, and has the ONNX checker
 * look at the graphs of the shipped model.
 *
 * Needs the packages of `training/goldens/README.md` in the Python named by PYTHON (default: `python3`).
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import sharp from 'sharp';
import { convertCheckpoint } from '../gpu-fn/convert/convert.ts';
import { DEFAULT_CHECKPOINT } from './default-bundle.ts';
import { ROOT } from './node-runtime.js';

const SCRIPTS = path.join(ROOT, 'training/goldens');
const FIXTURES = path.join(ROOT, 'tests/fixtures/golden');
const PYTHON = process.env.PYTHON ?? 'python3';
/** Values from another processor differ in the last float32 bits; six significant digits are kept. */
const RELATIVE_TOLERANCE = 1e-4;
/** Eight-bit steps that a picture may differ by for the same reason. */
const PIXEL_TOLERANCE = 1;

const compares = process.argv.includes('--compare');
const out = compares ? await mkdtemp(path.join(tmpdir(), 'pixart-edge-goldens-')) : FIXTURES;
try {
  await makeGoldens(out);
  if (compares) {
    process.exitCode = await compareAll(out);
    await checkGraphs(path.join(out, 'bundles'));
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  if (compares) await rm(out, { recursive: true, force: true });
}

async function makeGoldens(folder: string): Promise<void> {
  const at = (...parts: string[]) => path.join(folder, ...parts);
  await python('schedulers.py', at('schedulers'));
  await python('resize.py', at('resize'));
  await python('adapters.py', at('adapters'));
  await python('sigma.py', at('sigma'));
  await python('tokenizer.py', 'fixture', at('tokenizer'));
  if (!existsSync(DEFAULT_CHECKPOINT)) {
    throw new Error(`${DEFAULT_CHECKPOINT} is missing: its goldens were not made.`);
  }
  const shipped = path.basename(DEFAULT_CHECKPOINT);
  await python('pipeline.py', DEFAULT_CHECKPOINT, at(shipped));
  const model = path.join(DEFAULT_CHECKPOINT, 'tokenizer/spiece.model');
  await python('tokenizer.py', 'ids', model, at(shipped, 'ids.json.gz'));
}

/** @throws when the checker refuses a graph */
async function checkGraphs(folder: string): Promise<void> {
  for (const precision of ['int8', 'fp32'] as const) {
    const bundle = path.join(folder, precision);
    await convertCheckpoint({ checkpoint: DEFAULT_CHECKPOINT, out: bundle, precision });
    await python('check_onnx.py', bundle);
  }
}

function python(script: string, ...args: string[]): Promise<void> {
  process.stderr.write(`${script} ${args.map((arg) => path.relative(ROOT, arg)).join(' ')}\n`);
  const child = spawn(PYTHON, [path.join(SCRIPTS, script), ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
  });
  return new Promise((resolve, reject) => {
    child.on('error', (cause) => {
      const how =
        'Name one with the packages of training/goldens/README.md: PYTHON=… npm run goldens';
      reject(new Error(`${PYTHON} does not start. ${how}`, { cause }));
    });
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${script} failed with code ${code}`));
    });
  });
}

/** @returns exit code: 1 when a file is missing or its values differ */
async function compareAll(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  let different = 0;
  for (const entry of names.filter((item) => item.isFile())) {
    const made = path.join(entry.parentPath, entry.name);
    const name = path.relative(folder, made);
    const difference = await compareFile(made, path.join(FIXTURES, name));
    process.stdout.write(`${difference === undefined ? 'same     ' : 'DIFFERENT'} ${name}\n`);
    if (difference === undefined) continue;
    process.stdout.write(`          ${difference}\n`);
    different += 1;
  }
  if (different > 0) process.stdout.write('Run npm run goldens, and look at what changed.\n');
  return different === 0 ? 0 : 1;
}

/** @returns the first difference in words, or undefined */
async function compareFile(made: string, committed: string): Promise<string | undefined> {
  if (!existsSync(committed)) return 'is not committed';
  if (made.endsWith('.png')) {
    const [a, b] = await Promise.all([made, committed].map((file) => sharp(file).raw().toBuffer()));
    if (a!.length !== b!.length) return 'has another size';
    const far = a!.findIndex((value, i) => Math.abs(value - b![i]!) > PIXEL_TOLERANCE);
    return far === -1 ? undefined : `byte ${far} is ${a![far]}, committed ${b![far]}`;
  }
  const [a, b] = await Promise.all([made, committed].map((file) => readFile(file)));
  if (made.endsWith('.json')) return difference(parse(a!), parse(b!), '');
  if (made.endsWith('.json.gz')) {
    return difference(parse(gunzipSync(a!)), parse(gunzipSync(b!)), '');
  }
  return a!.equals(b!) ? undefined : 'has other bytes';
}

function parse(bytes: Buffer): unknown {
  return JSON.parse(bytes.toString('utf8'));
}

function difference(made: unknown, committed: unknown, at: string): string | undefined {
  if (typeof made === 'number' && typeof committed === 'number') {
    const size = Math.max(Math.abs(committed), 1);
    const close = Math.abs(made - committed) <= RELATIVE_TOLERANCE * size;
    return close ? undefined : `${at} is ${made}, committed ${committed}`;
  }
  if (
    made !== null &&
    typeof made === 'object' &&
    committed !== null &&
    typeof committed === 'object'
  ) {
    const keys = new Set([...Object.keys(made), ...Object.keys(committed)]);
    for (const key of keys) {
      if (at === '' && key === 'made_with') continue; // other versions with the same values are fine
      const found = difference(Reflect.get(made, key), Reflect.get(committed, key), `${at}/${key}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  return Object.is(made, committed)
    ? undefined
    : `${at} is ${String(made)}, committed ${String(committed)}`;
}
