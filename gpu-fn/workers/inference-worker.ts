/** Entry of an inference thread: the pipeline on ONNX Runtime, behind the message port. */
import { parentPort, workerData } from 'node:worker_threads';
import { encodeImage } from '../image/encode-image.ts';
import { loadPipeline } from '../pipeline/load-pipeline.ts';
import type { WorkerData } from './protocol.ts';
import { serveJobs } from './serve-jobs.ts';

const { bundle, threads, adapters } = workerData as WorkerData;
if (!parentPort) throw new Error('inference-worker.ts runs as a worker thread only');
await serveJobs({
  port: parentPort,
  bundle,
  loadPipeline: () => loadPipeline(bundle, { threads, adapters }),
  encodeImage,
});
