/**
 * The Worker on this machine: bundled by esbuild, run by workerd through Miniflare, without `wrangler dev`.
 *
 * `npm start` and the tests use it. Bindings come from `wrangler.toml`; whatever is given here goes over them.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Miniflare, WorkerdStructuredLog } from 'miniflare';

export interface WorkerOptions {
  /** 0 picks a free one. */
  readonly port?: number;
  readonly host?: string;
  /** Base URL of the function. */
  readonly gpuUrl: string;
  /** Vars and secrets by name, over those of `wrangler.toml`. */
  readonly bindings: Readonly<Record<string, string>>;
  /** Folder for pictures, jobs and keys; absent: everything is forgotten at the end. */
  readonly stateDir?: string | undefined;
  /** Isolates that share the Durable Objects and the bucket, each with a socket of its own. Default 1. */
  readonly isolates?: number | undefined;
  /** Module that the Worker is bundled from, from the root; absent: that of `wrangler.toml`. */
  readonly entry?: string | undefined;
  /** Gets each line that the Worker logs. Absent: it goes to standard output. */
  readonly onLog?: ((line: string) => void) | undefined;
}

export interface RunningWorker {
  /** Origin, without a slash at the end. */
  readonly url: string;
  /** Origin of each isolate; the first is `url`. */
  readonly urls: readonly string[];
  readonly miniflare: Miniflare;
  /** Deletes the oldest pictures and index entries until the rest take at most so many bytes. */
  readonly prunePictures: (bytesMax: number) => Promise<{ deleted: number; bytes: number }>;
  readonly dispose: () => Promise<void>;
}

const MAIN = 'pixart-edge';
const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/**
 * Starts the Worker and waits until it answers.
 *
 * @throws when the port is taken (`code` is `ERR_ADDRESS_IN_USE` or the message names the address), or the bundle fails
 */
export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  const [{ convertV4MiniflareOptions, Miniflare }, { unstable_getMiniflareWorkerOptions }] =
    await loadRuntime();

  const { host = '127.0.0.1', port = 0, gpuUrl, stateDir, onLog = printLine } = options;
  const { isolates = 1 } = options;
  if (stateDir !== undefined) await mkdir(stateDir, { recursive: true });
  const assets = path.join(ROOT, 'edge/public');
  await mkdir(assets, { recursive: true });
  const { workerOptions, externalWorkers } = unstable_getMiniflareWorkerOptions(
    path.join(ROOT, 'wrangler.toml'),
  );
  const shared = workerOptions as {
    bindings?: Record<string, string>;
    durableObjects?: Record<string, object>;
  };
  // The Worker's own socket: Miniflare's entry Worker in front of it would cost half the requests a second.
  const socket = { host, port };
  const worker = {
    ...shared,
    name: MAIN,
    bindings: { ...shared.bindings, ...options.bindings, GPU_URL: gpuUrl },
    unsafeDirectSockets: [socket],
  };
  const modules = [
    { type: 'ESModule', path: 'index.js', contents: await bundleWorker(options.entry) },
  ];
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      port: 0,
      logRequests: false,
      cf: false,
      handleStructuredLogs: ({ message }: WorkerdStructuredLog) => onLog(message),
      ...(stateDir !== undefined && { resourcePersistencePath: stateDir }),
      workers: [
        ...Array.from({ length: isolates }, (_, i) => (i === 0 ? worker : toTwin(worker, i))).map(
          (it) => ({ ...it, modules }),
        ),
        ...externalWorkers,
      ],
    } as Parameters<typeof convertV4MiniflareOptions>[0]),
  );
  try {
    await miniflare.ready;
    const names = Array.from({ length: isolates }, (_, i) => nameOf(i));
    const direct = await Promise.all(names.map((name) => miniflare.unsafeGetDirectURL(name)));
    return {
      url: direct[0]!.origin,
      urls: direct.map(({ origin }) => origin),
      miniflare,
      prunePictures: (bytesMax) => prunePictures(miniflare, bytesMax),
      dispose: () => miniflare.dispose(),
    };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}

/** Another isolate of the same Worker: its objects are those of the first. */
function toTwin<T extends { durableObjects?: Record<string, object> }>(worker: T, i: number) {
  const objects = Object.entries(worker.durableObjects ?? {}).map(([binding, object]) => [
    binding,
    { ...object, scriptName: MAIN },
  ]);
  return {
    ...worker,
    name: nameOf(i),
    durableObjects: Object.fromEntries(objects),
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
  };
}

function nameOf(i: number): string {
  return i === 0 ? MAIN : `${MAIN}-${i + 1}`;
}

/** Loads what runs the Worker: a second of work that can be done while something else is awaited. */
export function loadRuntime() {
  // Wrangler reads them when it is loaded: no call home, no traces, no look-up of where this machine is.
  process.env.WRANGLER_SEND_METRICS = 'false';
  process.env.WRANGLER_HIDE_BANNER = 'true';
  process.env.WRANGLER_LOG ??= 'error';
  process.env.CLOUDFLARE_CF_FETCH_ENABLED = 'false';
  process.env.X_LOCAL_OBSERVABILITY = 'false';
  process.env.X_LOCAL_EXPLORER = 'false';
  return Promise.all([import('miniflare'), import('wrangler')]);
}

/** The Worker as one module. */
export async function bundleWorker(entry = 'edge/index.ts'): Promise<string> {
  const result = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    mainFields: ['module', 'main'],
    external: ['cloudflare:*', 'node:*'],
    sourcemap: 'inline',
    logLevel: 'silent',
  });
  return result.outputFiles[0]!.text;
}

async function prunePictures(
  miniflare: Miniflare,
  bytesMax: number,
): Promise<{ deleted: number; bytes: number }> {
  const bucket = await miniflare.getR2Bucket('IMAGES', 'pixart-edge');
  // Entries count too: one that outlives its picture is only looked up in vain.
  const objects: { key: string; size: number; uploadedMs: number }[] = [];
  let cursor: string | undefined;
  do {
    const page = await bucket.list(cursor === undefined ? {} : { cursor });
    for (const { key, size, uploaded } of page.objects) {
      objects.push({ key, size, uploadedMs: uploaded.getTime() });
    }
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
  objects.sort((a, b) => a.uploadedMs - b.uploadedMs);
  let bytes = objects.reduce((sum, { size }) => sum + size, 0);
  let deleted = 0;
  for (const { key, size } of objects) {
    if (bytes <= bytesMax) break;
    await bucket.delete(key);
    bytes -= size;
    deleted += 1;
  }
  return { deleted, bytes };
}

function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}
