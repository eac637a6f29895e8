#!/usr/bin/env node
/**
 * `npm run convert -- --checkpoint DIR --out BUNDLE`: a diffusers checkpoint → an 8-bit ONNX bundle.
 *
 * Exit codes: 0 converted, 1 the conversion failed or was interrupted, 2 wrong usage.
 */
import { rm } from 'node:fs/promises';
import { SingleBar } from 'cli-progress';
import { Command, CommanderError, Option } from 'commander';
import { loadBundle } from '../runtime/bundle.ts';
import { SessionError } from '../runtime/session.ts';
import { CheckpointError } from '../safetensors/errors.ts';
import { TokenizerFormatError } from '../tokenizer/errors.ts';
import { type Comparison, compareBundles, formatComparison } from './compare.ts';
import { type ConvertProgress, convertCheckpoint, DestinationError } from './convert.ts';

interface Flags {
  readonly checkpoint: string;
  readonly out: string;
  readonly target: 'cpu' | 'cuda';
  readonly precision?: 'int8' | 'fp16' | 'fp32';
  readonly id?: string;
  readonly license?: string;
  readonly vaeEncoder: boolean;
  readonly json?: boolean;
  readonly compare?: boolean;
}

const FAILED = 1;
const WRONG_USAGE = 2;

process.exitCode = await main(process.argv);

async function main(argv: readonly string[]): Promise<number> {
  const command = createCommand();
  try {
    command.parse(argv);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : WRONG_USAGE;
    throw error;
  }
  return await convert(command.opts<Flags>());
}

function createCommand(): Command {
  return new Command('convert')
    .description('Convert a PixArt checkpoint in diffusers layout into a bundle of ONNX graphs.')
    .requiredOption('--checkpoint <dir>', 'folder with model_index.json')
    .requiredOption('--out <dir>', 'folder of the bundle; an earlier bundle there is replaced')
    .addOption(new Option('--target <name>').choices(['cpu', 'cuda']).default('cpu'))
    .addOption(
      new Option('--precision <name>', 'default: int8 for cpu, fp16 for cuda').choices([
        'int8',
        'fp16',
        'fp32',
      ]),
    )
    .option('--id <owner/name>', 'model id; default: what the checkpoint says, or its folder')
    .option('--license <text>', 'licence; default: what the checkpoint says')
    .option('--no-vae-encoder', 'leave the encoder of the VAE out')
    .option('--compare', 'also convert in fp32, aside, and print how far the bundle is from it')
    .option('--json', 'print one JSON line with the result instead of text')
    .showHelpAfterError()
    .exitOverride();
}

async function convert(flags: Flags): Promise<number> {
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort(new Error('interrupted'));
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const started = performance.now();
  const bar = createBar(flags.json !== true && process.stderr.isTTY);
  try {
    const manifest = await convertCheckpoint({
      checkpoint: flags.checkpoint,
      out: flags.out,
      target: flags.target,
      ...(flags.precision === undefined ? {} : { precision: flags.precision }),
      ...(flags.vaeEncoder ? {} : { vaeEncoder: false }),
      id: flags.id,
      license: flags.license,
      signal: interrupt.signal,
      onProgress: bar.update,
    });
    bar.stop();
    const comparison =
      flags.compare === true ? await compareWithFloat(flags, interrupt.signal) : undefined;
    const bytes = Object.values(manifest.files).reduce((sum, file) => sum + file.bytes, 0);
    const seconds = (performance.now() - started) / 1000;
    if (flags.json === true) {
      const { id, revision, target, precision } = manifest;
      const maxRssBytes = process.resourceUsage().maxRSS * 1024;
      console.log(
        JSON.stringify({
          out: flags.out,
          id,
          revision,
          target,
          precision,
          bytes,
          seconds,
          max_rss_bytes: maxRssBytes,
          ...(comparison && { comparison }),
        }),
      );
    } else {
      console.log(
        `${manifest.id} ${manifest.numeric_class}, ${(bytes / 1e6).toFixed(1)} MB in ${seconds.toFixed(1)} s`,
      );
      console.log(`${flags.out}  revision ${manifest.revision}`);
      if (comparison) console.log(formatComparison(comparison));
    }
    return 0;
  } catch (error) {
    bar.stop();
    if (!interrupt.signal.aborted && !isExpected(error)) throw error;
    const message = error instanceof Error ? error.message : String(error);
    if (flags.json === true) console.log(JSON.stringify({ error: message }));
    console.error(`convert: ${message}`);
    return FAILED;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** The bundle just written against a float32 one that is removed again. */
async function compareWithFloat(flags: Flags, signal: AbortSignal): Promise<Comparison> {
  const out = `${flags.out}.partial-${process.pid}-fp32`;
  try {
    await convertCheckpoint({
      checkpoint: flags.checkpoint,
      out,
      precision: 'fp32',
      id: flags.id,
      license: flags.license,
      signal,
    });
    return await compareBundles(
      await loadBundle(out, { signal }),
      await loadBundle(flags.out, { signal }),
    );
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

/** What a wrong checkpoint, destination or disk causes; anything else is our fault and keeps its stack. */
function isExpected(error: unknown): boolean {
  return (
    error instanceof CheckpointError ||
    error instanceof DestinationError ||
    error instanceof TokenizerFormatError ||
    error instanceof SessionError ||
    (error instanceof Error && 'syscall' in error)
  );
}

function createBar(visible: boolean) {
  if (!visible) return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    format: '{stage} [{bar}] {percentage}% {value}/{total} MB, {eta_formatted} left',
    hideCursor: true,
    clearOnComplete: true,
  });
  let isStarted = false;
  return {
    update({ stage, graph, bytesDone, bytesTotal }: ConvertProgress): void {
      if (bytesTotal === 0) return;
      const payload = { stage: graph ?? stage };
      if (!isStarted) bar.start(Math.ceil(bytesTotal / 1e6), 0, payload);
      isStarted = true;
      bar.update(Math.round(bytesDone / 1e6), payload);
    },
    stop(): void {
      bar.stop();
    },
  };
}
