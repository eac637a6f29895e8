#!/usr/bin/env node
/**
 * `npm run model -- list | pull ID | convert ID | remove ID | verify ID`: published checkpoints on this machine.
 *
 * Exit codes: 0 done, 1 it failed or files differ, 2 wrong usage. HF_ENDPOINT and HF_TOKEN mean what they mean to the
 * hub's own tools.
 */
import path from 'node:path';
import { SingleBar } from 'cli-progress';
import { Command, CommanderError, Option } from 'commander';
import { DestinationError } from '../gpu-fn/convert/convert.ts';
import { type ConvertChoice, ModelFolder } from '../gpu-fn/convert/zoo/model-folder.ts';
import { PullError } from '../gpu-fn/convert/zoo/pull.ts';
import { CheckpointError } from '../gpu-fn/safetensors/errors.ts';
import { ROOT } from './node-runtime.js';

const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort(new Error('interrupted')));
process.once('SIGTERM', () => interrupt.abort(new Error('interrupted')));
const { signal } = interrupt;

const program = new Command('model')
  .description('Published PixArt checkpoints: download, convert, check, delete.')
  .option(
    '--models <dir>',
    'folder of checkpoints, bundles and adapters',
    path.join(ROOT, '.local/models'),
  )
  .exitOverride()
  .showHelpAfterError();
const folder = () => new ModelFolder(program.opts<{ models: string }>().models);

program
  .command('list')
  .description('what is published and what is here')
  .action(async () => {
    for (const { id, description, pulled, bundleBytes } of await folder().list()) {
      const state = bundleBytes === undefined ? (pulled ? 'pulled' : '') : megabytes(bundleBytes);
      console.log(`${id.padEnd(48)} ${state.padEnd(10)} ${description}`);
    }
  });
program
  .command('pull <id>')
  .description('download a checkpoint; goes on where it was cut off')
  .option('--revision <name>', 'branch, tag or commit', 'main')
  .action(async (id: string, { revision }: { revision: string }) => {
    const bar = createBar();
    const home = await folder().pull(id, {
      revision,
      hubUrl: process.env.HF_ENDPOINT,
      accessToken: process.env.HF_TOKEN,
      signal,
      onPull: ({ path: file, bytesDone, bytesTotal }) => bar.update(file, bytesDone, bytesTotal),
    });
    bar.stop();
    console.log(home);
  });
program
  .command('convert <id>')
  .description('make a bundle of a pulled checkpoint')
  .addOption(new Option('--target <name>').choices(['cpu', 'cuda']).default('cpu'))
  .addOption(new Option('--precision <name>').choices(['int8', 'fp16', 'fp32']))
  .action(async (id: string, choice: ConvertChoice) => {
    const bar = createBar();
    const out = await folder().convert(id, {
      ...choice,
      signal,
      onConvert: ({ graph, stage, bytesDone, bytesTotal }) =>
        bar.update(graph ?? stage, bytesDone, bytesTotal),
    });
    bar.stop();
    console.log(out);
  });
program
  .command('remove <id>')
  .description('delete checkpoint, bundle and adapter')
  .action(async (id: string) => {
    if (!(await folder().remove(id))) throw new PullError(`${id} is not here`);
  });
program
  .command('verify <id>')
  .description('compare every file with its digest')
  .action(async (id: string) => {
    const faults = await folder().verify(id, signal);
    for (const fault of faults) console.log(fault);
    if (faults.length > 0) process.exitCode = 1;
    else console.log('whole');
  });

try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else if (isExpected(error)) {
    console.error(`model: ${error.message}`);
    process.exitCode = 1;
  } else throw error;
}

/** What the hub, the network, the disk or the file causes; anything else is our fault and keeps its stack. */
function isExpected(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  return (
    signal.aborted ||
    error instanceof PullError ||
    error instanceof CheckpointError ||
    error instanceof DestinationError ||
    error.message === 'fetch failed' ||
    error.constructor.name === 'HubApiError' ||
    'syscall' in error
  );
}

function createBar() {
  if (!process.stderr.isTTY) return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    format: '{what} [{bar}] {percentage}% {value}/{total} MB, {eta_formatted} left',
    hideCursor: true,
    clearOnComplete: true,
  });
  let isStarted = false;
  return {
    update(what: string, done: number, total: number): void {
      if (total === 0) return;
      if (!isStarted) bar.start(Math.ceil(total / 1e6), 0, { what });
      isStarted = true;
      bar.setTotal(Math.ceil(total / 1e6));
      bar.update(Math.round(done / 1e6), { what });
    },
    stop: () => bar.stop(),
  };
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
