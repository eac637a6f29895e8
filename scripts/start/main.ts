/**
 * The whole service on this machine: model → function → Worker, and everything ended again with it.
 *
 *     run file and orphans → port → keys → bundle → function (child) → Worker (workerd) → one look at /readyz
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BundleError, ensureBundle } from '../default-bundle.ts';
import { ROOT } from '../node-runtime.js';
import { loadRuntime, type RunningWorker, startWorker } from '../worker-runtime.ts';
import { findPortProblem } from './free-port.ts';
import { GpuFunctionError, GpuFunctionProcess } from './gpu-function.ts';
import { endOrphans, readProcess } from './processes.ts';
import { findRunning, removeRunFile, writeRunFile } from './run-file.ts';
import { ensureApiKey, ensureSigningKey } from './secrets.ts';
import { readSettings, SettingsError, type StartSettings } from './settings.ts';
import { measureFolder, removeEndedJobs } from './state-size.ts';

/** Budget of the local key: pictures per minute, and at once. */
const RATE = 600;
const BURST = 100;
const PRUNE_INTERVAL_MS = 60_000;
const READY_DEADLINE_MS = 5000;
/** After this the process ends whatever still hangs. */
const STOP_DEADLINE_MS = 12_000;
const PARENT_CHECK_MS = 500;
const POLL_MS = 50;
/** A process that was killed keeps its sockets until the last of its threads has ended. */
const PORT_RELEASE_MS = 10_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const onSignal = () => void stop(0);

/** Something that the user can mend; the message says how. */
class StartError extends Error {
  override readonly name = 'StartError';
}

const stopping = new AbortController();
const closers: (() => Promise<void>)[] = [];
let starting: Promise<void> | undefined;
await main();

async function main(): Promise<void> {
  watchForTheEnd();
  try {
    starting = start(readSettings(process.env));
    await starting;
  } catch (error) {
    if (stopping.signal.aborted) return;
    const isExpected = [StartError, SettingsError, BundleError, GpuFunctionError].some(
      (kind) => error instanceof kind,
    );
    process.stderr.write(`${isExpected ? (error as Error).message : describe(error)}\n`);
    await stop(1);
  }
}

async function start(settings: StartSettings): Promise<void> {
  const startedMs = Date.now();
  const { localDir, host } = settings;
  const running = await findRunning(localDir);
  if (running !== undefined) {
    throw new StartError(
      `pixart-edge already runs from this folder: ${running.url} (process ${running.pid}).`,
    );
  }
  const orphans = await endOrphans(path.join(ROOT, 'node_modules'));
  if (orphans > 0) say(`Ended ${orphans} left-over workerd of an earlier start.`);
  await refuseTakenPort(settings, { patienceMs: orphans > 0 ? PORT_RELEASE_MS : 0 });
  await writeRunFile(localDir, `http://${host}:${settings.port}`);
  onStop(() => removeRunFile(localDir));

  // Meanwhile, on another core; a failure is reported when the Worker is started.
  loadRuntime().catch(() => undefined);
  const apiKey = await ensureApiKey(localDir);
  const signingKey = await ensureSigningKey(localDir);
  const urlSigningKey = await ensureSigningKey(localDir, 'url-signing-key');
  const bundle =
    settings.bundle ??
    (await ensureBundle({
      checkpoint: settings.checkpoint,
      bundles: path.join(localDir, 'bundles'),
      onConvert: () => say('Converting the model, once…'),
      signal: stopping.signal,
    }));

  const gpuFunction = new GpuFunctionProcess({
    env: {
      DRAIN_DEADLINE_MS: '5000',
      ...inheritedEnvironment(),
      ...settings.gpuFunction,
      BUNDLE: bundle,
      GPU_SIGNING_KEY: signingKey,
    },
    onLine: (line) => process.stdout.write(`gpu-fn  ${line}\n`),
    onDeath: (how, restartInMs) =>
      say(`The function ended (${how}); starting it again in ${restartInMs / 1000} s.`),
  });
  onStop(() => gpuFunction.stop());

  const stateDir = path.join(localDir, 'state');
  const worker = await startTheWorker(settings, {
    gpuUrl: await untilStopped(gpuFunction.url()),
    stateDir,
    bindings: {
      // Everything is on one disk already; a cache in front of it would only keep all of it twice.
      CACHE_API: 'off',
      API_KEYS_BOOTSTRAP: JSON.stringify([
        {
          id: apiKey.id,
          sha256: apiKey.sha256,
          scopes: ['generate', 'read', 'admin'],
          rate: RATE,
          burst: BURST,
        },
      ]),
      URL_SIGNING_KEYS: urlSigningKey,
      ...settings.edge,
      GPU_SIGNING_KEY: signingKey,
      MODELS: JSON.stringify([await readModelInfo(bundle)]),
    },
  });
  await untilStopped(gpuFunction.ready);
  await waitUntilReady(worker.url);
  await writeRunFile(localDir, worker.url);
  await keepStateBounded(worker, { stateDir, bytesMax: settings.stateBytesMax });
  greet({ url: worker.url, key: apiKey.key, localDir, tookMs: Date.now() - startedMs });
}

async function refuseTakenPort(
  { port, host }: StartSettings,
  { patienceMs }: { patienceMs: number },
): Promise<void> {
  if (port === 0) return;
  const deadlineMs = Date.now() + patienceMs;
  let problem = await findPortProblem(port, host);
  while (problem === 'EADDRINUSE' && Date.now() < deadlineMs) {
    await sleep(POLL_MS, undefined, { signal: stopping.signal });
    problem = await findPortProblem(port, host);
  }
  if (problem === undefined) return;
  const other = port >= 65_535 ? 8788 : port + 1;
  throw new StartError(
    problem === 'EADDRINUSE'
      ? `Port ${port} is taken by another program. Choose another one: PORT=${other} npm start`
      : `Port ${port} of ${host} cannot be used (${problem}). Choose another one: PORT=${other} npm start`,
  );
}

async function startTheWorker(
  { port, host }: StartSettings,
  options: { gpuUrl: string; stateDir: string; bindings: Record<string, string> },
): Promise<RunningWorker> {
  const worker = await startWorker({
    port,
    host,
    ...options,
    onLog: (line) => process.stdout.write(`edge    ${line}\n`),
  });
  onStop(() => worker.dispose());
  // Miniflare ends the process at once on a signal, in the middle of an orderly end.
  for (const signal of SIGNALS) {
    for (const listener of process.listeners(signal)) {
      if (listener !== onSignal) process.off(signal, listener);
    }
  }
  return worker;
}

/** What the bundle can draw, as the Worker is to know it. */
async function readModelInfo(bundle: string): Promise<unknown> {
  const file = path.join(bundle, 'manifest.json');
  try {
    return (JSON.parse(await readFile(file, 'utf8')) as { info: unknown }).info;
  } catch (error) {
    throw new StartError(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** The Worker answers, and through it the function. */
async function waitUntilReady(url: string): Promise<void> {
  const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(READY_DEADLINE_MS)]);
  let last = 'no answer';
  while (!signal.aborted) {
    try {
      const response = await fetch(`${url}/readyz`, { signal });
      last = `${response.status} ${await response.text()}`;
      if (response.ok) return;
    } catch (error) {
      if (!signal.aborted) last = describe(error);
    }
    await sleep(POLL_MS);
  }
  throw new StartError(`The service does not become ready: ${last}`);
}

/** Drops the oldest pictures now and every minute, so that all state together keeps within the bound. */
async function keepStateBounded(
  worker: RunningWorker,
  { stateDir, bytesMax }: { stateDir: string; bytesMax: number },
): Promise<void> {
  const prune = async () => {
    await removeEndedJobs(stateDir, Date.now());
    const total = await measureFolder(stateDir);
    if (total <= bytesMax) return;
    // Pictures are nearly all of it; what else there is takes its share of the bound.
    const pictures = (await worker.prunePictures(Number.MAX_SAFE_INTEGER)).bytes;
    const others = Math.max(0, total - pictures);
    const { deleted } = await worker.prunePictures(Math.max(0, bytesMax - others));
    say(`Dropped the ${deleted} oldest pictures: state had grown to ${total} bytes.`);
  };
  await prune();
  const timer = setInterval(() => {
    prune().catch((error: unknown) => say(`State could not be pruned: ${describe(error)}`));
  }, PRUNE_INTERVAL_MS);
  onStop(async () => clearInterval(timer));
}

function greet({
  url,
  key,
  localDir,
  tookMs,
}: {
  url: string;
  key: string;
  localDir: string;
  tookMs: number;
}): void {
  const body = JSON.stringify({ prompt: 'a happy cactus in the desert', response_format: 'url' });
  say(`
pixart-edge is ready after ${(tookMs / 1000).toFixed(1)} s.

  Page     ${url}/#key=${key}
  API      ${url}/v1
  API key  ${key}   (kept in ${path.relative(process.cwd(), path.join(localDir, 'api-key'))})

  curl ${url}/v1/images/generations -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' -d '${body}'

Ctrl-C ends it.`);
}

/** Everything that ends the service: signals, and the end of whoever started it. */
function watchForTheEnd(): void {
  for (const signal of SIGNALS) process.on(signal, onSignal);
  // Started by an older Node that lends us its terminal, or by a test.
  process.on('disconnect', () => void stop(0));
  // npm does not hand signals on. A shell that started us and ends is no reason to end, too.
  if (process.env.npm_lifecycle_event === undefined) return;
  const ancestors = listAncestors();
  const timer = setInterval(() => {
    if (listAncestors() !== ancestors) void stop(0);
  }, PARENT_CHECK_MS);
  timer.unref();
}

/** The result of the work, unless the service is to end before. */
function untilStopped<T>(work: Promise<T>): Promise<T> {
  const { signal } = stopping;
  return new Promise((resolve, reject) => {
    work.then(resolve, reject);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** The shell that npm started us in, and npm behind it: the shell outlives npm when only npm is told to end. */
function listAncestors(): string {
  return `${process.ppid} ${readProcess(process.ppid)?.parentPid ?? ''}`;
}

function onStop(close: () => Promise<void>): void {
  closers.push(close);
}

/** Ends everything in the opposite order of its start. */
async function stop(exitCode: number): Promise<void> {
  if (stopping.signal.aborted) return;
  stopping.abort();
  setTimeout(() => process.exit(exitCode || 1), STOP_DEADLINE_MS).unref();
  // What is being started right now would be missed. Its waits end with `stopping` or have short deadlines.
  await starting?.catch(() => undefined);
  for (const close of closers.reverse()) {
    try {
      await close();
    } catch (error) {
      process.stderr.write(`${describe(error)}\n`);
    }
  }
  process.exit(exitCode);
}

/** The environment without what belongs to this process. */
function inheritedEnvironment(): Record<string, string | undefined> {
  const { PORT: _port, HOST: _host, NODE_CHANNEL_FD: _channel, ...rest } = process.env;
  return rest;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
