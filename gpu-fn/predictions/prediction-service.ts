/**
 * Predictions from admission to their end: capacity, queue, deadline, worker, events, log line.
 *
 * Knows nothing about HTTP; routes create predictions here and read their history.
 */
import { createHash, randomBytes } from 'node:crypto';
import { ServiceError } from '#shared/errors.ts';
import type { PredictionInput } from '#shared/schemas/prediction-input.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { JobQueue, Ticket } from '../queue.ts';
import type { Engine, JobEvent, JobResult } from '../workers/engine.ts';
import { type CompleteInput, completeInput } from './complete-input.ts';
import { Prediction, type PredictionMode, StopReason } from './prediction.ts';
import { ProgressLog } from './progress-log.ts';

export interface PredictionRequest {
  /** Checked by the caller; made up when absent. */
  readonly id?: string | undefined;
  readonly input: PredictionInput;
  readonly mode: PredictionMode;
  readonly previewCount: number;
  readonly requestId: string;
}

/** Where finished pictures go: a data URI, or a URL once uploaded. */
export type StorePicture = (
  picture: JobEvent & { type: 'picture' },
  options: { readonly signal: AbortSignal },
) => Promise<string>;

export interface PredictionServiceOptions {
  readonly engine: Engine;
  readonly queue: JobQueue;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly jobDeadlineMs: number;
  readonly historyMax: number;
  readonly storePicture: StorePicture;
  /** a number in [0, 1) */
  readonly random?: () => number;
  /** monotonic milliseconds */
  readonly now?: () => number;
}

/** Seconds that `Retry-After` may name. */
const RETRY_AFTER_SECONDS_MAX = 60;
/** Weight of the newest prediction in the mean duration. */
const MEAN_WEIGHT = 0.2;

export class PredictionService {
  readonly #options: PredictionServiceOptions;
  readonly #random: () => number;
  readonly #now: () => number;
  readonly #running = new Map<string, Prediction>();
  #meanMs = 1000;
  #closing = false;

  constructor(options: PredictionServiceOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#now = options.now ?? (() => performance.now());
  }

  /** A prediction that has not ended. */
  get(id: string): Prediction | undefined {
    return this.#running.get(id);
  }

  get runningCount(): number {
    return this.#running.size;
  }

  get isClosing(): boolean {
    return this.#closing;
  }

  /** Whether every worker has a prediction. */
  get isBusy(): boolean {
    const { queue } = this.#options;
    return queue.runningCount >= queue.slotCount;
  }

  /**
   * Admits a prediction and sets it going.
   *
   * @throws {ServiceError} `model_unavailable` before the model is loaded or while draining, `overloaded`
   *   when slots and queue are full, `invalid_parameter` when the loaded model cannot do what is asked
   */
  create(request: PredictionRequest): Prediction {
    const { engine, queue, historyMax } = this.#options;
    const { info } = engine;
    if (this.#closing) {
      throw new ServiceError('model_unavailable', {
        detail: 'The function is shutting down.',
        retryAfterMs: 1000,
      });
    }
    if (!info || engine.health().status !== 'ready') {
      throw new ServiceError('model_unavailable', {
        detail: 'The model is not ready.',
        retryAfterMs: 2000,
      });
    }
    const input = completeInput(request.input, { info, random: this.#random });
    const id = request.id ?? `pred_${randomBytes(8).toString('hex')}`;
    const ticket = queue.enter();
    if (!ticket) {
      throw new ServiceError('overloaded', {
        detail: 'At capacity - all prediction slots busy',
        message: `${queue.runningCount} run and ${queue.depth} of ${queue.queueDepthMax} wait`,
        retryAfterMs: this.#retryAfterMs(),
      });
    }
    const prediction = new Prediction({ id, input, mode: request.mode, historyMax });
    this.#running.set(id, prediction);
    void this.#execute(prediction, ticket, request);
    return prediction;
  }

  /** @returns false when no such prediction runs */
  cancel(id: string): boolean {
    const prediction = this.#running.get(id);
    if (!prediction) return false;
    prediction.stop(new StopReason('canceled', 'canceled by request'));
    return true;
  }

  /**
   * Refuses new predictions and waits for those that run; after `deadlineMs` it stops them.
   * Settles when the last one has ended.
   */
  async drain({ deadlineMs }: { deadlineMs: number }): Promise<void> {
    this.#closing = true;
    const timer = setTimeout(() => {
      for (const prediction of this.#running.values()) {
        prediction.stop(
          new StopReason('failed', 'the function is shutting down', {
            error: 'The function is shutting down. The request can be repeated.',
            code: 'upstream_lost',
          }),
        );
      }
    }, deadlineMs);
    await Promise.all([...this.#running.values()].map((prediction) => prediction.settled));
    clearTimeout(timer);
  }

  async #execute(prediction: Prediction, ticket: Ticket, request: PredictionRequest) {
    const { engine, metrics, jobDeadlineMs } = this.#options;
    const enteredAt = this.#now();
    const deadline = setTimeout(() => {
      const error = `The deadline of ${jobDeadlineMs / 1000} s has passed.`;
      prediction.stop(
        new StopReason('failed', 'deadline exceeded', { error, code: 'deadline_exceeded' }),
      );
    }, jobDeadlineMs);
    let startedAt: number | undefined;
    let waitedMs = 0;
    let result: JobResult | undefined;
    let cause: unknown;
    try {
      using place = ticket;
      using permit = await place.permit(prediction.signal);
      startedAt = this.#now();
      waitedMs = permit.waitedMs;
      metrics.predictionsStarted.inc();
      metrics.queueSeconds.observe(waitedMs / 1000);
      prediction.start();
      prediction.metric('queue_time', waitedMs / 1000);
      const pictures = new PictureLine(prediction, this.#options);
      const progress = new ProgressLog({ prediction, now: this.#now });
      result = await engine.run(
        { input: prediction.input, previewCount: request.previewCount },
        {
          signal: prediction.signal,
          onEvent: (event) => {
            if (event.type === 'step') progress.step(event);
            else if (event.type === 'preview') prediction.preview(previewData(event));
            else pictures.add(event);
          },
        },
      );
      await pictures.done();
    } catch (error) {
      cause = error;
    } finally {
      clearTimeout(deadline);
    }
    const endedAt = this.#now();
    const runMs = endedAt - (startedAt ?? endedAt);
    prediction.predictTime(runMs / 1000);
    this.#end(prediction, result, cause);
    this.#running.delete(prediction.id);
    this.#account(prediction, request, {
      cause,
      result,
      waitedMs: startedAt === undefined ? endedAt - enteredAt : waitedMs,
      runMs,
    });
  }

  #end(prediction: Prediction, result: JobResult | undefined, cause: unknown): void {
    if (cause === undefined && result) {
      const { timings, warnings, promptTokens } = result;
      prediction.metric('text_time', timings.text_ms / 1000);
      prediction.metric('denoise_time', timings.denoise_ms / 1000);
      prediction.metric('vae_time', timings.vae_ms / 1000);
      prediction.metric('image_time', timings.image_ms / 1000);
      if (promptTokens !== undefined) prediction.metric('prompt_tokens', promptTokens);
      for (const { code, message } of warnings) prediction.log(`warning ${code}: ${message}\n`);
      prediction.succeed({ warnings, revision: this.#options.engine.info?.revision ?? '' });
    } else if (cause instanceof StopReason) {
      if (cause.failure) prediction.fail(cause.failure);
      else prediction.cancel();
    } else if (cause instanceof ServiceError) {
      prediction.fail({ error: cause.detail, code: cause.code });
    } else {
      prediction.fail({ error: 'The picture could not be drawn.', code: 'internal_error' });
    }
  }

  #account(
    prediction: Prediction,
    request: PredictionRequest,
    run: { cause: unknown; result: JobResult | undefined; waitedMs: number; runMs: number },
  ): void {
    const { metrics, log } = this.#options;
    const { status, failure, input } = prediction;
    metrics.predictions.inc({ status });
    metrics.predictionSeconds.observe({ status }, run.runMs / 1000);
    if (failure) metrics.failures.inc({ code: failure.code });
    const timings = run.result?.timings;
    if (status === 'succeeded' && timings) {
      this.#meanMs += MEAN_WEIGHT * (run.runMs - this.#meanMs);
      for (const stage of ['text', 'denoise', 'vae', 'image'] as const) {
        metrics.stageSeconds.observe({ stage }, timings[`${stage}_ms`] / 1000);
      }
    }
    const fields = {
      request_id: request.requestId,
      prediction_id: prediction.id,
      mode: prediction.mode,
      status,
      ...(failure && { code: failure.code }),
      ...(run.cause instanceof StopReason && { reason: run.cause.message }),
      prompt_hash: promptHash(input.prompt),
      ...(run.result?.promptTokens !== undefined && { prompt_tokens: run.result.promptTokens }),
      seed: input.seed,
      width: input.width,
      height: input.height,
      num_inference_steps: input.num_inference_steps,
      output_count: prediction.outputCount,
      warnings: run.result?.warnings.map(({ code }) => code) ?? [],
      queue_ms: Math.round(run.waitedMs),
      total_ms: Math.round(run.waitedMs + run.runMs),
      ...(timings && roundAll(timings)),
    };
    const ours =
      failure && !(run.cause instanceof StopReason) && failure.code !== 'invalid_parameter';
    if (ours) log.error('prediction.completed', fields, run.cause);
    else log.info('prediction.completed', fields);
  }

  /** When a place should be free, spread by a fifth so that refused callers do not return at once. */
  #retryAfterMs(): number {
    const { queue } = this.#options;
    const ahead = (queue.depth + 1) / queue.slotCount;
    const waitMs = ahead * this.#meanMs * (1 + 0.2 * this.#random());
    return Math.min(Math.max(waitMs, 1000), RETRY_AFTER_SECONDS_MAX * 1000);
  }
}

/**
 * Finished pictures on their way to `output`, in order, even where one upload takes longer than the next.
 */
class PictureLine {
  readonly #prediction: Prediction;
  readonly #options: PredictionServiceOptions;
  #last: Promise<void> = Promise.resolve();

  constructor(prediction: Prediction, options: PredictionServiceOptions) {
    this.#prediction = prediction;
    this.#options = options;
  }

  add(picture: JobEvent & { type: 'picture' }): void {
    const { storePicture, metrics } = this.#options;
    const { signal } = this.#prediction;
    this.#last = this.#last.then(async () => {
      const chunk = await storePicture(picture, { signal });
      metrics.pictures.inc({ format: picture.mimeType.replace('image/', '') });
      this.#prediction.output(chunk, picture.sha256);
    });
    // `done()` reports it; until then it is not an unhandled rejection.
    this.#last.catch(() => undefined);
  }

  done(): Promise<void> {
    return this.#last;
  }
}

/** Pictures inside the answer, as Cog does without an upload URL. */
export const storeAsDataUri: StorePicture = async ({ mimeType, bytes }) =>
  toDataUri(mimeType, bytes);

function previewData(event: JobEvent & { type: 'preview' }) {
  return {
    index: event.pictureIndex,
    step: event.stepIndex + 1,
    steps: event.stepCount,
    image: toDataUri(event.mimeType, event.bytes),
  };
}

function toDataUri(mimeType: string, bytes: Uint8Array): string {
  const { buffer, byteOffset, byteLength } = bytes;
  const base64 = Buffer.from(buffer, byteOffset, byteLength).toString('base64');
  return `data:${mimeType};base64,${base64}`;
}

/** Stands for a prompt in logs: 16 hex digits of its SHA-256. */
function promptHash(prompt: CompleteInput['prompt']): string {
  return createHash('sha256').update(prompt).digest('hex').slice(0, 16);
}

function roundAll<T extends object>(timings: T): Record<string, number> {
  return Object.fromEntries(
    Object.entries(timings).map(([name, ms]) => [name, Math.round(ms * 10) / 10]),
  );
}
