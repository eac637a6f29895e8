/**
 * An inference thread without networks: the real loop of jobs and messages around a pipeline that does what its
 * prompt says.
 *
 *     draw          four steps and a picture
 *     hold          after its first step it waits to be canceled
 *     microtasks    its steps follow each other without a turn of the event loop, as a busy native call would
 *     deaf          never returns and hears nothing
 *     exit          ends the thread
 *     throw: TEXT   fails
 *
 * The bundle of its `workerData` is a word too: `broken` fails to load, `exits` ends the thread instead.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { RunOptions } from '../../gpu-fn/pipeline/components.ts';
import type { WorkerData } from '../../gpu-fn/workers/protocol.ts';
import { type ServedPipeline, serveJobs } from '../../gpu-fn/workers/serve-jobs.ts';
import { TEST_MODEL } from './controlled-engine.ts';

const STEP_MS = 5;
const { bundle } = workerData as WorkerData;

const pipeline: ServedPipeline = {
  info: TEST_MODEL,
  generate: async (options, run) => {
    const { prompt, seed, width, height, numInferenceSteps: stepCount } = options;
    if (prompt === 'exit') process.exit(3);
    if (prompt === 'deaf') block();
    if (prompt.startsWith('throw: ')) throw new Error(prompt.slice('throw: '.length));
    for (let stepIndex = 0; stepIndex < stepCount; stepIndex += 1) {
      run.signal?.throwIfAborted();
      if (prompt === 'microtasks') block(STEP_MS);
      const timestep = 999 - stepIndex;
      run.onStep?.({ stepIndex, stepCount, timestep, preview: () => pixels(2, 2) });
      if (prompt === 'hold') await canceled(run);
    }
    return {
      image: pixels(width, height),
      seed,
      warnings: [],
      timings: { text_ms: 1, denoise_ms: 2, vae_ms: 3, image_ms: 4 },
      drawn: [width, height],
      promptTokens: 2,
    };
  },
  dispose: async () => undefined,
};

if (!parentPort) throw new Error('this file runs as a worker thread only');
await serveJobs({
  port: parentPort,
  bundle,
  loadPipeline: async () => {
    if (bundle === 'broken') throw new Error('file /secret/path is damaged');
    if (bundle === 'exits') process.exit(4);
    return pipeline;
  },
  // Seed and format, so that tests can tell the pictures apart.
  encodeImage: async (image, { format }) =>
    new TextEncoder().encode(`${format} ${image.width}x${image.height}`),
});

function pixels(width: number, height: number) {
  return { data: new Uint8Array(width * height * 3), width, height, channels: 3 as const };
}

function canceled({ signal }: RunOptions): Promise<void> {
  return new Promise((_resolve, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** Stops this thread, for ever if no time is given. */
function block(ms?: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
