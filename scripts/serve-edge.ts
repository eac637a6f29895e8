/**
 * The Worker alone, in front of a function that runs elsewhere: what the `edge` image starts.
 *
 *     GPU_URL=http://function:5000 GPU_SIGNING_KEY=id:secret node scripts/serve-edge.ts
 *     node scripts/serve-edge.ts --probe      exit code 0 if the Worker on this machine answers
 *
 * `npm start` is the other way: it starts the function too.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { type ModelInfo, modelInfo } from '#shared/schemas/model.ts';
import { ensureApiKey } from './start/secrets.ts';
import { startWorker } from './worker-runtime.ts';

const settings = z.object({
  GPU_URL: z.url({ protocol: /^https?$/, error: 'must be the base URL of the function' }),
  GPU_SIGNING_KEY: z.string().optional(),
  HOST: z.string().default('0.0.0.0'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8787),
  LOCAL_DIR: z.string().default('.local'),
});

/** The function may still be loading its model when this process starts. */
const MODEL_DEADLINE_MS = 180_000;
const MODEL_RETRY_MS = 500;
const ANSWER_DEADLINE_MS = 3000;
const PICTURE_BYTES_MAX = 2 * 1024 ** 3;
const PRUNE_INTERVAL_MS = 60_000;
const STOP_DEADLINE_MS = 10_000;
/** Vars of the Worker that this process passes on as they are. */
const PASSED = [
  'AUTH_MODE',
  'CORS_ORIGINS',
  'GENERATIONS_BURST',
  'GENERATIONS_PER_MINUTE',
  'JOB_DEADLINE_MS',
  'LOG_LEVEL',
  'MODEL_ALIASES',
  'PUBLIC_ORIGIN',
  'READS_PER_MINUTE',
];

const environment = Object.fromEntries(
  Object.entries(process.env).filter(([, value]) => value !== ''),
) as Record<string, string>;

if (process.argv.includes('--probe')) process.exitCode = await probe();
else await serve();

async function serve(): Promise<void> {
  const parsed = settings.safeParse(environment);
  if (!parsed.success) {
    const lines = parsed.error.issues.map(({ path: at, message }) => `${at.join('.')} ${message}`);
    process.stderr.write(`${lines.join('\n')}\n`);
    process.exitCode = 1;
    return;
  }
  const { GPU_URL, GPU_SIGNING_KEY, HOST, PORT, LOCAL_DIR } = parsed.data;
  const gpuUrl = GPU_URL.replace(/\/+$/, '');
  const model = await fetchModel(gpuUrl);
  const { id, sha256 } = await ensureApiKey(LOCAL_DIR);
  const passed = PASSED.filter((name) => environment[name] !== undefined);
  const worker = await startWorker({
    host: HOST,
    port: PORT,
    gpuUrl,
    stateDir: path.resolve(LOCAL_DIR, 'state'),
    bindings: {
      CACHE_API: 'off', // one disk holds everything already
      API_KEYS_BOOTSTRAP: JSON.stringify([
        { id, sha256, scopes: ['generate', 'read', 'admin'], rate: 600, burst: 100 },
      ]),
      ...Object.fromEntries(passed.map((name) => [name, environment[name]!])),
      ...(GPU_SIGNING_KEY !== undefined && { GPU_SIGNING_KEY }),
      MODELS: JSON.stringify([model]),
    },
  });
  const pruning = setInterval(
    () => void worker.prunePictures(PICTURE_BYTES_MAX).catch(report),
    PRUNE_INTERVAL_MS,
  );
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    clearInterval(pruning);
    setTimeout(() => process.exit(1), STOP_DEADLINE_MS).unref();
    void worker.dispose().then(() => process.exit(0));
  };
  // Miniflare's own handlers would end the process at once and with another exit code.
  for (const signal of ['SIGTERM', 'SIGINT']) process.removeAllListeners(signal).on(signal, stop);
  const key = path.resolve(LOCAL_DIR, 'api-key');
  process.stdout.write(
    `pixart-edge serves ${model.id} on ${worker.url}; the API key is in ${key}\n`,
  );
}

/** @throws the last failure once the deadline has passed */
async function fetchModel(gpuUrl: string): Promise<ModelInfo> {
  const deadlineMs = performance.now() + MODEL_DEADLINE_MS;
  for (;;) {
    try {
      const signal = AbortSignal.timeout(ANSWER_DEADLINE_MS);
      const response = await fetch(`${gpuUrl}/model`, { signal });
      if (response.ok) return modelInfo.parse(await response.json());
      await response.body?.cancel();
      throw new Error(`${gpuUrl}/model answered ${response.status}`);
    } catch (error) {
      // A model that does not fit the schema will not do so later.
      if (error instanceof z.ZodError || performance.now() > deadlineMs) throw error;
    }
    await sleep(MODEL_RETRY_MS);
  }
}

async function probe(): Promise<number> {
  try {
    const signal = AbortSignal.timeout(ANSWER_DEADLINE_MS);
    const port = environment.PORT ?? '8787';
    return (await fetch(`http://127.0.0.1:${port}/healthz`, { signal })).ok ? 0 : 1;
  } catch {
    return 1; // unreachable is unhealthy, whatever the reason
  }
}

function report(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
}
