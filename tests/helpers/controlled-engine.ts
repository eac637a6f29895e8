/**
 * An engine whose jobs do what the test says, step by step: no threads, no networks, no waiting.
 *
 * `nextJob()` hands over the job that the server has started; the test lets it step, finish or fail.
 */
import { createHash } from 'node:crypto';
import type { ModelInfo } from '#shared/schemas/model.ts';
import type {
  Engine,
  EngineHealth,
  InferenceJob,
  JobResult,
  RunOptions,
} from '../../gpu-fn/workers/engine.ts';

export const TEST_MODEL: ModelInfo = {
  id: 'test/controlled',
  revision: 'ab'.repeat(32),
  numeric_class: 'test',
  license: 'Apache-2.0',
  native_size: [64, 64],
  sizes: [
    [64, 64],
    [96, 64],
  ],
  max_sequence_length: 64,
  alpha: true,
  clean_caption: false,
  samplers: { lcm: { steps: { min: 1, max: 8, default: 4 } } },
  default_sampler: 'lcm',
  guidance: { min: 0, max: 4.5, default: 0 },
};

/** SHA-256 of the three bytes that `finish()` hands over. */
export const PICTURE_SHA256 = '039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81';
export const PICTURE_DATA_URI = 'data:image/png;base64,AQID';

export class ControlledJob {
  readonly job: InferenceJob;
  readonly options: RunOptions;
  readonly settle = Promise.withResolvers<JobResult>();

  constructor(job: InferenceJob, options: RunOptions) {
    this.job = job;
    this.options = options;
    const stop = () => this.settle.reject(options.signal.reason);
    if (options.signal.aborted) stop();
    else options.signal.addEventListener('abort', stop, { once: true });
  }

  step(stepIndex: number, { preview = false } = {}): void {
    const at = { pictureIndex: 0, stepIndex, stepCount: this.job.input.num_inference_steps };
    this.options.onEvent({ type: 'step', ...at });
    if (!preview) return;
    const bytes = new Uint8Array([9, 9, 9]);
    this.options.onEvent({ type: 'preview', ...at, mimeType: 'image/webp', bytes });
  }

  picture(bytes = new Uint8Array([1, 2, 3])): void {
    const { seed, width, height, output_format } = this.job.input;
    this.options.onEvent({
      type: 'picture',
      pictureIndex: 0,
      mimeType: `image/${output_format}`,
      bytes,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      seed,
      width,
      height,
    });
  }

  finish(result: Partial<JobResult> = {}, bytes?: Uint8Array<ArrayBuffer>): void {
    this.picture(bytes);
    this.settle.resolve({
      timings: { text_ms: 1, denoise_ms: 20, vae_ms: 3, image_ms: 4 },
      warnings: [],
      promptTokens: 5,
      ...result,
    });
  }

  fail(error: Error): void {
    this.settle.reject(error);
  }

  /** Settles when the server has told the work to stop. */
  stopped(): Promise<void> {
    const { signal } = this.options;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) =>
      signal.addEventListener('abort', () => resolve(), { once: true }),
    );
  }
}

export class ControlledEngine implements Engine {
  readonly slotCount: number;
  info: ModelInfo | undefined = TEST_MODEL;
  status: EngineHealth['status'] = 'ready';
  /** Jobs that have reached the engine. */
  startedCount = 0;
  /** Lets every job finish by itself. */
  automatic = false;
  /** What such a job draws. */
  automaticPicture: Uint8Array<ArrayBuffer> | undefined;
  readonly #jobs: ControlledJob[] = [];
  readonly #takers: ((job: ControlledJob) => void)[] = [];

  constructor({ slotCount = 1 } = {}) {
    this.slotCount = slotCount;
  }

  health(): EngineHealth {
    const failed = this.status === 'setup_failed';
    const starting = this.status === 'starting';
    return {
      status: this.status,
      setup: {
        startedAt: new Date('2026-01-02T03:04:05.000Z'),
        ...(!starting && { completedAt: new Date('2026-01-02T03:04:06.000Z') }),
        status: failed ? 'failed' : starting ? 'starting' : 'succeeded',
        logs: failed ? 'The model could not be loaded.\n' : '',
      },
    };
  }

  run(job: InferenceJob, options: RunOptions): Promise<JobResult> {
    this.startedCount += 1;
    const controlled = new ControlledJob(job, options);
    if (this.automatic) controlled.finish({}, this.automaticPicture);
    else {
      const taker = this.#takers.shift();
      if (taker) taker(controlled);
      else this.#jobs.push(controlled);
    }
    return controlled.settle.promise;
  }

  nextJob(): Promise<ControlledJob> {
    const job = this.#jobs.shift();
    if (job) return Promise.resolve(job);
    return new Promise((resolve) => this.#takers.push(resolve));
  }
}
