/**
 * The GPU function: settings → worker threads → HTTP server → drain on SIGTERM.
 *
 *     node gpu-fn/main.ts [--help] [--upload-url URL] [--await-explicit-shutdown]
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { ConfigError, describeSettings, loadConfig, processEnvironment } from './config.ts';
import { createLog, type Log } from './log.ts';
import { createFunction } from './server.ts';
import { WorkerPool } from './workers/worker-pool.ts';

const HELP = `The GPU function: pictures from prompts over the Cog HTTP protocol.

  node gpu-fn/main.ts [options]

  --upload-url URL            as UPLOAD_URL
  --await-explicit-shutdown   as AWAIT_EXPLICIT_SHUTDOWN=1
  --help                      this text

Settings are environment variables:

${describeSettings()}
`;

/** A process that cannot recover stays long enough for its health check to be seen, then makes way. */
const DEFUNCT_EXIT_MS = 10_000;
/** On top of the drain's own deadline: closing sessions, then the end whatever happens. */
const CLOSE_DEADLINE_MS = 10_000;

const exitCode = await main();
// An open IPC channel would keep a process alive that has nothing to do.
if (exitCode !== undefined) process.exit(exitCode);

/** @returns the exit code, or `undefined` once the function serves */
async function main(): Promise<number | undefined> {
  const environment = readArguments();
  if (environment === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  if (environment === undefined) return 2;
  try {
    await serve(loadConfig(environment));
    return undefined;
  } catch (error) {
    if (!(error instanceof ConfigError || isListenError(error))) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}

function readArguments(): Record<string, string | undefined> | 'help' | undefined {
  try {
    const { values } = parseArgs({
      options: {
        help: { type: 'boolean', short: 'h' },
        'upload-url': { type: 'string' },
        'await-explicit-shutdown': { type: 'boolean' },
      },
    });
    if (values.help) return 'help';
    return {
      ...processEnvironment(),
      ...(values['upload-url'] !== undefined && { UPLOAD_URL: values['upload-url'] }),
      ...(values['await-explicit-shutdown'] && { AWAIT_EXPLICIT_SHUTDOWN: '1' }),
    };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    process.stderr.write(`${error.message}\n\n${HELP}`);
    return undefined;
  }
}

async function serve(config: ReturnType<typeof loadConfig>): Promise<void> {
  const log = createLog({ level: config.logLevel });
  const pool = new WorkerPool({
    size: config.workers,
    workerUrl: new URL('./workers/inference-worker.ts', import.meta.url),
    workerData: {
      bundle: config.bundle,
      threads: config.threads,
      adapters: config.adapters,
    },
    log,
    cancelGraceMs: config.cancelGraceMs,
    setupTimeoutMs: config.setupTimeoutMs,
    onRestart: () => gpuFunction.metrics.workerRestarts.inc(),
  });
  let stopping = false;
  const stop = (reason: string) => {
    if (stopping) return;
    stopping = true;
    log.info('server.draining', { reason });
    const timer = setTimeout(
      () => {
        log.error('server.exited', { reason: 'the drain took too long' });
        process.exit(1);
      },
      config.drainDeadlineMs + config.writeStallMs + CLOSE_DEADLINE_MS,
    );
    if (config.readyFile) rmSync(config.readyFile, { force: true });
    void drain({ gpuFunction, pool, log }).then(() => {
      clearTimeout(timer);
      log.info('server.exited', { reason });
      if (process.connected) process.disconnect();
      process.exit(0);
    });
  };
  const gpuFunction = createFunction({
    config,
    engine: pool,
    log,
    onShutdown: () => stop('POST /shutdown'),
  });
  process.on('SIGINT', () => stop('SIGINT'));
  if (config.awaitExplicitShutdown) process.on('SIGTERM', () => log.info('signal.ignored'));
  else process.on('SIGTERM', () => stop('SIGTERM'));
  // A supervisor that started us over IPC and is gone would leave an orphan on the port.
  process.once('disconnect', () => stop('parent gone'));

  let port: number;
  try {
    port = await gpuFunction.listen();
  } catch (error) {
    await pool.close();
    throw error;
  }
  const { host } = config;
  log.info('server.listening', { host, port, signed: config.signingKey !== undefined });
  process.send?.({ type: 'listening', port });
  void pool.started.then(() => {
    const { status, setup } = pool.health();
    const ready = status === 'ready';
    if (ready) log.info('bundle.loaded', { model: pool.info?.id, revision: pool.info?.revision });
    process.send?.({ type: ready ? 'ready' : 'setup_failed', ...(!ready && { logs: setup.logs }) });
    if (ready && !stopping && config.readyFile) markReady(config.readyFile, log);
  });
  void pool.defunct.then(() => {
    setTimeout(() => process.exit(1), DEFUNCT_EXIT_MS);
  });
}

async function drain({
  gpuFunction,
  pool,
  log,
}: {
  gpuFunction: ReturnType<typeof createFunction>;
  pool: WorkerPool;
  log: Log;
}): Promise<void> {
  try {
    await gpuFunction.drain();
    await pool.close();
  } catch (error) {
    log.error('server.drain_failed', {}, error);
  }
}

function markReady(path: string, log: Log): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '');
  } catch (error) {
    log.error('ready_file.failed', { path }, error);
  }
}

function isListenError(error: unknown): error is Error {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return ['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL', 'ENOTFOUND'].includes(code);
}
