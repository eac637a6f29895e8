/**
 * What the HTTP side knows of inference: jobs go in, events and one outcome come out.
 *
 * `WorkerPool` implements this on threads; nothing here knows about threads, tensors or HTTP.
 */
import type { ModelInfo } from '#shared/schemas/model.ts';
import type { CompleteInput } from '../predictions/complete-input.ts';

export interface InferenceJob {
  readonly input: CompleteInput;
  /** Previews wanted for each picture; 0 makes none. */
  readonly previewCount: number;
}

export interface JobWarning {
  readonly code: string;
  readonly message: string;
  readonly param?: string;
}

/** Wall-clock milliseconds of the stages of one or more pictures. */
export interface StageTimings {
  readonly text_ms: number;
  readonly denoise_ms: number;
  readonly vae_ms: number;
  readonly image_ms: number;
}

export type JobEvent =
  | {
      readonly type: 'step';
      readonly pictureIndex: number;
      readonly stepIndex: number;
      readonly stepCount: number;
    }
  | {
      readonly type: 'preview';
      readonly pictureIndex: number;
      readonly stepIndex: number;
      readonly stepCount: number;
      readonly mimeType: string;
      readonly bytes: Uint8Array;
    }
  | {
      readonly type: 'picture';
      readonly pictureIndex: number;
      readonly mimeType: string;
      readonly bytes: Uint8Array;
      /** 64 lower-case hex digits, of `bytes` */
      readonly sha256: string;
      readonly seed: number;
      readonly width: number;
      readonly height: number;
    };

export interface JobResult {
  readonly timings: StageTimings;
  readonly warnings: readonly JobWarning[];
  /** Real tokens of the prompt, the end token included; absent if the pipeline does not tell. */
  readonly promptTokens?: number;
}

export interface RunOptions {
  /** Aborting it stops the work before its next denoising step. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: JobEvent) => void;
}

export type EngineStatus =
  /** loading */
  | 'starting'
  /** at least one worker takes jobs */
  | 'ready'
  /** the first load failed; will not be tried again */
  | 'setup_failed'
  /** no worker at this moment, one is being started */
  | 'unhealthy'
  /** workers keep dying or cannot be stopped: only a new process helps */
  | 'defunct';

export interface EngineHealth {
  readonly status: EngineStatus;
  readonly setup: {
    readonly startedAt: Date;
    readonly completedAt?: Date;
    readonly status: 'starting' | 'succeeded' | 'failed';
    /** Written for whoever may read the health check: no paths, no stacks. */
    readonly logs: string;
  };
}

export interface Engine {
  readonly slotCount: number;
  /** What is loaded; `undefined` until the first worker is ready. */
  readonly info: ModelInfo | undefined;
  health(): EngineHealth;
  /**
   * Runs one job on one worker.
   *
   * @throws the signal's reason once the work has really stopped
   * @throws {ServiceError} when the work failed, or its worker did
   */
  run(job: InferenceJob, options: RunOptions): Promise<JobResult>;
}
