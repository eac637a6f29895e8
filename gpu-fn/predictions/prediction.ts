/**
 * One prediction: its state, its events, and the promise that it ends exactly once.
 *
 * Knows nothing about queues, workers or HTTP; `PredictionService` drives it.
 */
import type { ErrorCode } from '#shared/errors.ts';
import type { JobWarning } from '../workers/engine.ts';
import type { CompleteInput } from './complete-input.ts';
import { EventHistory } from './event-history.ts';

export type PredictionStatus = 'starting' | 'processing' | 'succeeded' | 'failed' | 'canceled';

/** How it was asked for, which decides what the departure of its readers means. */
export type PredictionMode = 'sync' | 'async' | 'stream';

export interface Failure {
  /** written for callers */
  readonly error: string;
  readonly code: ErrorCode;
}

/** The body of answers, of the `completed` event and of webhooks. */
export type PredictionBody = Readonly<Record<string, unknown>>;

/** Why a prediction is to end before its work is done. */
export class StopReason extends Error {
  override readonly name = 'StopReason';
  readonly status: 'canceled' | 'failed';
  readonly failure: Failure | undefined;

  constructor(status: 'canceled' | 'failed', message: string, failure?: Failure) {
    super(message);
    this.status = status;
    this.failure = failure;
  }
}

/** Longest `logs` of a prediction; progress of 10 pictures of 100 steps fits. */
const LOGS_CHARS_MAX = 128 * 1024;

export interface PredictionOptions {
  readonly id: string;
  readonly input: CompleteInput;
  readonly mode: PredictionMode;
  readonly historyMax: number;
}

export class Prediction {
  readonly id: string;
  readonly input: CompleteInput;
  readonly mode: PredictionMode;
  readonly history: EventHistory;
  readonly #stop = new AbortController();
  readonly #settled = Promise.withResolvers<PredictionBody>();
  readonly #output: string[] = [];
  readonly #sha256: string[] = [];
  readonly #metrics: Record<string, number> & { predict_time?: number } = {};
  readonly #listeners = new Set<(change: 'start' | 'output' | 'logs' | 'completed') => void>();
  #subscriberCount = 0;
  #status: PredictionStatus = 'starting';
  #logs = '';
  #failure: Failure | undefined;
  #warnings: readonly JobWarning[] = [];
  #revision: string | undefined;

  constructor({ id, input, mode, historyMax }: PredictionOptions) {
    this.id = id;
    this.input = input;
    this.mode = mode;
    this.history = new EventHistory(historyMax);
  }

  get status(): PredictionStatus {
    return this.#status;
  }

  get outputCount(): number {
    return this.#output.length;
  }

  get failure(): Failure | undefined {
    return this.#failure;
  }

  get isTerminal(): boolean {
    return this.#status !== 'starting' && this.#status !== 'processing';
  }

  /** Aborted when the work is to stop; its reason is a `StopReason`. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** The final body; never rejects. */
  get settled(): Promise<PredictionBody> {
    return this.#settled.promise;
  }

  /** Tells the work to stop. The prediction ends when the work has. */
  stop(reason: StopReason): void {
    if (!this.isTerminal) this.#stop.abort(reason);
  }

  /**
   * Counts a reader of the history until it is disposed of. When the last reader of a prediction that was
   * created by a stream leaves, the work is stopped: nobody would see it.
   *
   * @returns `undefined` when there are `countMax` readers already
   */
  subscribe(countMax: number): Disposable | undefined {
    if (this.#subscriberCount >= countMax) return undefined;
    this.#subscriberCount += 1;
    let left = false;
    return {
      [Symbol.dispose]: () => {
        if (left) return;
        left = true;
        this.#subscriberCount -= 1;
        if (this.#subscriberCount === 0 && this.mode === 'stream') {
          this.stop(new StopReason('canceled', 'last subscriber left'));
        }
      },
    };
  }

  onChange(listener: (change: 'start' | 'output' | 'logs' | 'completed') => void): void {
    this.#listeners.add(listener);
  }

  start(): void {
    if (this.#status !== 'starting') throw new Error(`start of a ${this.#status} prediction`);
    this.#status = 'processing';
    this.#publish('start', { id: this.id, status: this.#status });
    this.#changed('start');
  }

  log(text: string): void {
    if (this.isTerminal || this.#logs.length + text.length > LOGS_CHARS_MAX) return;
    this.#logs += text;
    this.#publish('log', { data: text, source: 'stdout' });
    this.#changed('logs');
  }

  metric(name: string, value: number): void {
    if (this.isTerminal) return;
    const rounded = toMicro(value);
    this.#metrics[name] = rounded;
    this.#publish('metric', { mode: 'replace', name, value: rounded });
  }

  preview(data: Readonly<Record<string, unknown>>): void {
    if (!this.isTerminal) this.#publish('preview', data);
  }

  output(chunk: string, sha256: string): void {
    if (this.isTerminal) return;
    this.#output.push(chunk);
    this.#sha256.push(sha256);
    this.#publish('output', { chunk, index: this.#output.length - 1 });
    this.#changed('output');
  }

  succeed({ warnings, revision }: { warnings: readonly JobWarning[]; revision: string }): void {
    this.#warnings = warnings;
    this.#revision = revision;
    this.#end('succeeded');
  }

  fail(failure: Failure): void {
    this.#failure = failure;
    this.#end('failed');
  }

  cancel(): void {
    this.#end('canceled');
  }

  /** The time that Cog reports whatever the outcome. */
  predictTime(seconds: number): void {
    this.#metrics.predict_time = toMicro(seconds);
  }

  body(): PredictionBody {
    return {
      id: this.id,
      status: this.#status,
      ...(this.#output.length > 0 && { output: [...this.#output] }),
      logs: this.#logs,
      metrics: { ...this.#metrics },
      ...(this.#failure && { error: this.#failure.error, code: this.#failure.code }),
      ...(this.#status === 'succeeded' && {
        output_sha256: [...this.#sha256],
        seed: this.input.seed,
        revision: this.#revision,
        warnings: this.#warnings,
      }),
    };
  }

  #end(status: 'succeeded' | 'failed' | 'canceled'): void {
    if (this.isTerminal) throw new Error(`second end of prediction: ${status}`);
    this.#status = status;
    const body = this.body();
    this.history.append({ name: 'completed', data: body });
    this.history.end();
    this.#settled.resolve(body);
    this.#changed('completed');
    this.#listeners.clear();
  }

  #publish(name: string, data: Readonly<Record<string, unknown>>): void {
    this.history.append({ name, data });
  }

  #changed(change: 'start' | 'output' | 'logs' | 'completed'): void {
    for (const listener of this.#listeners) listener(change);
  }
}

/** Clocks are not better than microseconds, and floats would show fifteen digits. */
function toMicro(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
