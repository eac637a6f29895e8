/** The whole service for a test: the real function on the tiny model as a child, the real Worker on workerd before it. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import OpenAI from 'openai';
import { createApiKey } from '#shared/api-key.ts';
import { GpuFunctionProcess } from '../../scripts/start/gpu-function.ts';
import { type RunningWorker, startWorker } from '../../scripts/worker-runtime.ts';
import { makeTinyBundle } from './tiny-bundle.ts';

const SIGNING_KEY = 'test:a signing key for the tests';

export interface Service extends AsyncDisposable {
  readonly url: string;
  readonly gpuUrl: string;
  readonly key: string;
  readonly worker: RunningWorker;
  readonly gpuFunction: GpuFunctionProcess;
  readonly openai: OpenAI;
  /** POSTs a generation with the key. */
  generate(body: unknown, init?: RequestInit): Promise<Response>;
  /** Executions so far, as the function counts them. */
  executions(): Promise<number>;
}

export async function startService({
  gpuEnv = {},
}: {
  gpuEnv?: Record<string, string>;
} = {}): Promise<Service> {
  await using resources = new AsyncDisposableStack();
  const bundle = resources.use(await makeTinyBundle());
  const gpuFunction = new GpuFunctionProcess({
    env: {
      ...process.env,
      LOG_LEVEL: 'error',
      DRAIN_DEADLINE_MS: '100',
      ...gpuEnv,
      BUNDLE: bundle.folder,
      GPU_SIGNING_KEY: SIGNING_KEY,
    },
    onLine: () => undefined,
  });
  resources.defer(() => gpuFunction.stop());
  const gpuUrl = await gpuFunction.url();
  const manifest = JSON.parse(
    await readFile(path.join(bundle.folder, 'manifest.json'), 'utf8'),
  ) as { info: unknown };
  const { key, id, sha256 } = await createApiKey();
  const worker = await startWorker({
    gpuUrl,
    onLog: () => undefined,
    bindings: {
      LOG_LEVEL: 'error',
      GPU_SIGNING_KEY: SIGNING_KEY,
      MODELS: JSON.stringify([manifest.info]),
      API_KEYS_BOOTSTRAP: JSON.stringify([
        { id, sha256, scopes: ['generate', 'read'], rate: 600, burst: 100 },
      ]),
    },
  });
  resources.defer(() => worker.dispose());
  await gpuFunction.ready;
  const kept = resources.move();
  return {
    url: worker.url,
    gpuUrl,
    key,
    worker,
    gpuFunction,
    openai: new OpenAI({ apiKey: key, baseURL: `${worker.url}/v1`, maxRetries: 0 }),
    generate: (body, init = {}) =>
      fetch(`${worker.url}/v1/images/generations`, {
        method: 'POST',
        body: JSON.stringify(body),
        ...init,
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
      }),
    executions: async () => {
      const text = await (await fetch(`${gpuUrl}/metrics`)).text();
      return Number(/^predictions_started_total (\d+)$/m.exec(text)?.[1]);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
