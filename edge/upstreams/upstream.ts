/**
 * What every upstream is to the rest of the edge: predictions in, events out, whatever protocol lies behind it.
 */
import { type ErrorCode, ServiceError, type ServiceErrorOptions } from '#shared/errors.ts';
import type { Progress } from '#shared/progress-line.ts';
import type { Prediction, PredictionPreview } from '#shared/schemas/prediction.ts';
import type { PredictionInput } from '#shared/schemas/prediction-input.ts';

export interface UpstreamRequest {
  readonly id: string;
  /** Model that has to draw, by its id among `MODELS`. */
  readonly model: string;
  readonly input: PredictionInput;
  /** Previews wanted. */
  readonly previews: number;
  readonly requestId: string;
  readonly traceparent?: string | undefined;
  readonly deadlineMs: number;
  /** Longest record of the stream: a finished picture in base64. */
  readonly recordBytesMax: number;
  /** Name of the job object, for upstreams that report by webhook. */
  readonly jobName?: string | undefined;
  /** News of this prediction have come by webhook: whoever waits for them should look at once. */
  readonly news?: PredictionNews | undefined;
  /** Aborted when nobody waits any longer. */
  readonly signal: AbortSignal;
  /** Takes work that has to end although nobody waits for it. */
  readonly background: (work: Promise<unknown>) => void;
}

export type UpstreamEvent =
  /** The upstream has taken the prediction. */
  | { readonly type: 'accepted' }
  | ({ readonly type: 'preview' } & PredictionPreview)
  | ({ readonly type: 'progress' } & Progress)
  /** Always the last one. */
  | { readonly type: 'completed'; readonly prediction: Prediction };

export type UpstreamEvents = AsyncGenerator<UpstreamEvent, void, undefined>;

export interface Upstream {
  /** Name in logs: never an address. */
  readonly name: string;
  /**
   * Whether a run that was lost has ended by itself and cost nothing but time, so that another upstream may draw instead.
   * False where a lost run is billed.
   */
  readonly isRepeatable: boolean;

  /**
   * Events of one prediction; ends after `completed`.
   *
   * @throws {ServiceError} `overloaded` or `model_unavailable` when nothing was begun; `upstream_*`, `deadline_exceeded`, or
   *   what the upstream refused
   * @throws the reason of `signal` once it is aborted
   */
  predict(request: UpstreamRequest): UpstreamEvents;

  /** Whether it could take a prediction now. */
  isReady(): Promise<boolean>;
}

/** A refusal of an upstream that wants no other request either, for a while. */
export class RestError extends ServiceError {
  readonly restMs: number;

  constructor(code: ErrorCode, options: ServiceErrorOptions & { readonly restMs: number }) {
    super(code, options);
    this.restMs = options.restMs;
  }
}

/** Bell that a webhook rings; whoever listens says how many rings it has heard. */
export class PredictionNews {
  #predictionId: string | undefined;
  #count = 0;
  #wake: (() => void) | undefined;

  /** Id that the sender gives the prediction; known even where the answer to its creation was lost. */
  get predictionId(): string | undefined {
    return this.#predictionId;
  }

  get count(): number {
    return this.#count;
  }

  ring(predictionId: string): void {
    this.#predictionId ??= predictionId;
    if (this.#predictionId !== predictionId) return;
    this.#count += 1;
    this.#wake?.();
  }

  /** Resolves once it has rung more often than that. One listener at a time. */
  async after(count: number): Promise<void> {
    if (this.#count > count) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }
}
