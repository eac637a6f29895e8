/**
 * `npm run generate -- "a happy cactus in the desert" --out cactus.png`: one picture without a server.
 *
 * The picture goes to a file, what was done to stdout (`--json` for programs), progress to stderr. Exit code 2
 * means that the command line or a value in it cannot be used, 1 that drawing failed.
 */
import { createHash, randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { SingleBar } from 'cli-progress';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ServiceError } from '#shared/errors.ts';
import { SEED_MAX } from '#shared/limits.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import { encodeImage } from '../gpu-fn/image/encode-image.ts';
import type { GenerateOptions, ImageFormat, StepEvent } from '../gpu-fn/pipeline/components.ts';
import { loadPipeline } from '../gpu-fn/pipeline/load-pipeline.ts';
import { BundleError as LoadError } from '../gpu-fn/runtime/bundle.ts';
import { BundleError, DEFAULT_CHECKPOINT, ensureBundle } from './default-bundle.ts';
import { ROOT } from './node-runtime.js';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const FORMATS: Readonly<Record<string, ImageFormat>> = {
  png: 'png',
  jpg: 'jpeg',
  jpeg: 'jpeg',
  webp: 'webp',
};

interface CommandOptions {
  readonly out: string;
  readonly seed?: number;
  readonly steps?: number;
  readonly size?: { readonly width: number; readonly height: number };
  readonly sizePolicy: GenerateOptions['sizePolicy'];
  readonly format?: ImageFormat;
  readonly quality: number;
  readonly background: GenerateOptions['background'];
  readonly model?: string;
  readonly json?: true;
}

/** A command line that cannot be used; the message is for the user. */
class UsageError extends Error {}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const command = createCommand();
  try {
    command.parse(args, { from: 'user' });
    await generate(command.args[0] ?? '', command.opts<CommandOptions>());
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    process.stderr.write(`${messageOf(error)}\n`);
    const isUsage = error instanceof UsageError || error instanceof ServiceError;
    return isUsage ? EXIT_USAGE : EXIT_FAILURE;
  }
}

function createCommand(): Command {
  return new Command('npm run generate --')
    .description('Draws one picture from a prompt, without a server.')
    .argument('<prompt>', 'what to draw')
    .option('-o, --out <file>', 'where the picture goes', 'picture.png')
    .addOption(integer('--seed <n>', 'same seed, same picture', 0, SEED_MAX))
    .addOption(integer('--steps <n>', 'denoising steps', 1, 100))
    .addOption(new Option('--size <WxH>', 'pixels, such as 512x512').argParser(parseSize))
    .addOption(
      new Option('--size-policy <policy>', 'resample what the model cannot draw, or refuse it')
        .choices(['fit', 'exact'])
        .default('fit'),
    )
    .addOption(
      new Option(
        '--format <format>',
        'png, jpeg or webp (default: by the name of the file)',
      ).argParser(parseFormat),
    )
    .addOption(integer('--quality <n>', 'of jpeg and webp', 1, 100).default(90))
    .addOption(
      new Option('--background <kind>', 'auto keeps transparency when the prompt asks for it')
        .choices(['auto', 'transparent', 'opaque'])
        .default('auto'),
    )
    .option('--model <folder>', 'bundle or checkpoint (default: the shipped model)')
    .option('--json', 'say what was done as one line of JSON')
    .allowExcessArguments(false)
    .exitOverride();
}

async function generate(prompt: string, options: CommandOptions): Promise<void> {
  const format = options.format ?? formatOfName(options.out);
  const bundle = await findBundle(options.model);
  await using pipeline = await loadPipeline(bundle);
  const { info } = pipeline;
  const request = toGenerateOptions(prompt, { ...options, format }, info);
  using progress = showProgress(request.numInferenceSteps);
  const startedAt = performance.now();
  const result = await pipeline.generate(request, { onStep: progress.onStep });
  const { width, height } = result.image;
  const bytes = await encodeImage(result.image, { format, quality: options.quality, info });
  const tookMs = performance.now() - startedAt;
  await writeFile(options.out, bytes);
  progress[Symbol.dispose]();

  if (options.json) {
    const report = {
      file: path.resolve(options.out),
      format,
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      width,
      height,
      drawn: result.drawn,
      seed: result.seed,
      num_inference_steps: request.numInferenceSteps,
      model: info.id,
      revision: info.revision,
      warnings: result.warnings,
      timings: { ...result.timings, total_ms: tookMs },
    };
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return;
  }
  for (const { message } of result.warnings) process.stderr.write(`Note: ${message}\n`);
  const seconds = (tookMs / 1000).toFixed(2);
  process.stdout.write(
    `${options.out}: ${width}x${height}, seed ${result.seed}, ${request.numInferenceSteps} steps, ${seconds} s\n`,
  );
}

/** Fills in what the model has defaults for. */
function toGenerateOptions(
  prompt: string,
  options: CommandOptions & { readonly format: ImageFormat },
  info: ModelInfo,
): GenerateOptions {
  const sampler = info.default_sampler;
  const [width, height] = info.native_size;
  return {
    prompt,
    width: options.size?.width ?? width,
    height: options.size?.height ?? height,
    numInferenceSteps: options.steps ?? info.samplers[sampler]?.steps.default ?? 1,
    guidanceScale: info.guidance.default,
    seed: options.seed ?? randomInt(SEED_MAX + 1),
    sampler,
    sizePolicy: options.sizePolicy,
    background: options.background,
    outputFormat: options.format,
  };
}

/** The folder named, as a bundle; a checkpoint is converted once and kept. */
async function findBundle(model = DEFAULT_CHECKPOINT): Promise<string> {
  if (existsSync(path.join(model, 'manifest.json'))) return model;
  if (!existsSync(path.join(model, 'model_index.json'))) {
    const what = 'neither a bundle (manifest.json) nor a checkpoint (model_index.json)';
    if (model === DEFAULT_CHECKPOINT) {
      const how =
        'The shipped model is missing: fetch the repository whole, or name one with --model.';
      throw new BundleError(`${model} is ${what}. ${how}`);
    }
    const how = 'Make a bundle with: npm run convert -- --checkpoint FOLDER --out BUNDLE';
    throw new UsageError(`${model} is ${what}. ${how}`);
  }
  return await ensureBundle({
    checkpoint: model,
    bundles: path.join(ROOT, '.local/bundles'),
    onConvert: () => process.stderr.write('Converting the model, once…\n'),
  });
}

interface Progress extends Disposable {
  readonly onStep: (event: StepEvent) => void;
}

/** A bar on a terminal, a line for each step elsewhere. */
function showProgress(stepCount: number): Progress {
  if (!process.stderr.isTTY) {
    return {
      onStep: ({ stepIndex }) => process.stderr.write(`step ${stepIndex + 1} of ${stepCount}\n`),
      [Symbol.dispose]: () => undefined,
    };
  }
  const bar = new SingleBar({
    format: 'drawing {bar} step {value} of {total}',
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  bar.start(stepCount, 0);
  return {
    onStep: ({ stepIndex }) => {
      bar.update(stepIndex + 1);
      bar.render(); // the networks leave the timer of the bar no time to do so
    },
    [Symbol.dispose]: () => bar.stop(),
  };
}

function integer(flags: string, description: string, min: number, max: number): Option {
  return new Option(flags, description).argParser((text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new InvalidArgumentError(`It must be an integer from ${min} to ${max}.`);
    }
    return value;
  });
}

function parseSize(text: string): { width: number; height: number } {
  const match = /^(\d{1,5})x(\d{1,5})$/i.exec(text);
  if (match === null) throw new InvalidArgumentError('It must look like 512x512.');
  return { width: Number(match[1]), height: Number(match[2]) };
}

function parseFormat(text: string): ImageFormat {
  const format = Object.hasOwn(FORMATS, text.toLowerCase())
    ? FORMATS[text.toLowerCase()]
    : undefined;
  if (format === undefined) throw new InvalidArgumentError('It must be png, jpeg or webp.');
  return format;
}

function formatOfName(file: string): ImageFormat {
  const extension = path.extname(file).slice(1).toLowerCase();
  const format = Object.hasOwn(FORMATS, extension) ? FORMATS[extension] : undefined;
  if (format === undefined) {
    throw new UsageError(`${file} does not end in .png, .jpg or .webp: say which with --format.`);
  }
  return format;
}

function messageOf(error: unknown): string {
  if (error instanceof ServiceError) {
    return error.param === undefined ? error.detail : `${error.param}: ${error.detail}`;
  }
  if (error instanceof UsageError || error instanceof BundleError || error instanceof LoadError) {
    return error.message;
  }
  if (error instanceof Error && 'syscall' in error) return error.message; // the file cannot be written
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
