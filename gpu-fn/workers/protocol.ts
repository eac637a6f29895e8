/**
 * The messages between the main thread and an inference worker.
 *
 * Cancellation has a second way beside the message: `cancelFlag` is shared memory that the worker reads
 * after each denoising step, since a native call keeps the worker from receiving anything.
 */
import type { ErrorCode } from '#shared/errors.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import type { InferenceJob, JobEvent, JobResult } from './engine.ts';

export type ToWorker =
  | {
      readonly type: 'run';
      readonly jobId: number;
      readonly job: InferenceJob;
      /** int32 `[1]` in shared memory: 0 = go on, 1 = stop */
      readonly cancelFlag: Int32Array<SharedArrayBuffer>;
    }
  | { readonly type: 'cancel'; readonly jobId: number }
  /** Release the sessions and exit with code 0. */
  | { readonly type: 'close' };

export type FromWorker =
  | { readonly type: 'ready'; readonly info: ModelInfo; readonly loadMs: number }
  /** `detail` is safe for the health check; `stack` is for the log. */
  | { readonly type: 'setup_failed'; readonly detail: string; readonly stack: string }
  | { readonly type: 'event'; readonly jobId: number; readonly event: JobEvent }
  | { readonly type: 'done'; readonly jobId: number; readonly result: JobResult }
  | { readonly type: 'canceled'; readonly jobId: number }
  | {
      readonly type: 'failed';
      readonly jobId: number;
      readonly code: ErrorCode;
      readonly detail: string;
      readonly stack: string;
      readonly param?: string;
    };

/** What a worker is started with. */
export interface WorkerData {
  readonly bundle: string;
  readonly threads: number;
  /** folder of uploaded adapters; absent when there is none */
  readonly adapters?: string | undefined;
}
