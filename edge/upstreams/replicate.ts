/**
 * A model on Replicate: created once, watched by polling, canceled when nobody waits, its picture marked as ours would be.
 *
 * - A creation is attempted once. When its answer is lost, the prediction is looked for (by our webhook URL, which it carries,
 *   or by its input) before anything else is done; what is not found is given up, never created again: it may be billed.
 * - Polling slows down from `POLL_MS_MIN` to `POLL_MS_MAX`; a webhook makes it look at once. Whatever a webhook says, the state
 *   that counts is the one that was asked for.
 * - A prediction ends in one of four states. `aborted` is one of them.
 */
import { ServiceError } from '#shared/errors.ts';
import type { Prediction } from '#shared/schemas/prediction.ts';
import { buildXmp } from '#shared/xmp.ts';
import { toHostedInput } from './hosted-input.ts';
import { readHostedPicture } from './hosted-picture.ts';
import { type HostedPrediction, ReplicateApi, ReplicateRefusal } from './replicate-api.ts';
import { parseRetryAfter } from './retry-after.ts';
import type { RetryBudget } from './retry-budget.ts';
import { RestError, type Upstream, type UpstreamEvents, type UpstreamRequest } from './upstream.ts';
import { Watch } from './watch.ts';

export interface ReplicateUpstreamOptions {
  readonly name: string;
  /** `owner/name` or `owner/name:version`. */
  readonly model: string;
  /** Members of the input to set, or with null to leave out. */
  readonly input: Readonly<Record<string, unknown>>;
  readonly baseUrl: string;
  readonly token: string;
  /** Where webhooks reach us; undefined: there are none. */
  readonly webhookUrl: string | undefined;
  readonly idleMs: number;
  readonly retryBudget: RetryBudget;
  readonly fetch: (request: Request) => Promise<Response>;
  readonly now: () => number;
  readonly random: () => number;
}

const POLL_MS_MIN = 250;
const POLL_MS_MAX = 2000;
/** Failed looks at a prediction in a row, each of them paid for from the retry budget. */
const POLL_FAILURES_MAX = 3;
/** Looks for a prediction whose creation was not answered, and the pause between them. */
const SEARCHES_MAX = 3;
const SEARCH_PAUSE_MS = 500;
/** Clocks of ours and theirs may differ by this. */
const CLOCK_SKEW_MS = 60_000;
const CANCEL_DEADLINE_MS = 5000;
/** A hint of nothing is one second. */
const RETRY_AFTER_MS = 1000;
const COLD_START_RETRY_MS = 5000;

export class ReplicateUpstream implements Upstream {
  /** Whatever was created is billed. */
  readonly isRepeatable = false;
  readonly #options: ReplicateUpstreamOptions;
  readonly #api: ReplicateApi;

  constructor(options: ReplicateUpstreamOptions) {
    this.#options = options;
    this.#api = new ReplicateApi(options);
  }

  get name(): string {
    return this.#options.name;
  }

  /** Asking costs a call of a limited number, so only failures tell that it is not. */
  async isReady(): Promise<boolean> {
    return true;
  }

  async *predict(request: UpstreamRequest): UpstreamEvents {
    const { deadlineMs, signal } = request;
    using watch = new Watch({ deadlineMs, signal, idleMs: this.#options.idleMs });
    const input = toHostedInput(request.input, this.#options.input);
    let hosted = await this.#create(request, input, watch);
    const { id } = hosted;
    let isOver = false;
    try {
      yield { type: 'accepted' };
      hosted = await this.#follow(hosted, request, watch);
      isOver = true;
      yield { type: 'completed', prediction: await this.#toPrediction(hosted, request, watch) };
    } finally {
      if (!isOver && !isTerminal(hosted)) request.background(this.#cancel(id));
    }
  }

  async #create(
    request: UpstreamRequest,
    input: Record<string, unknown>,
    watch: Watch,
  ): Promise<HostedPrediction> {
    const sinceMs = this.#options.now();
    const webhook = this.#webhookOf(request);
    try {
      return await this.#api.create(
        {
          model: this.#options.model,
          input,
          webhook,
          cancelAfterSeconds: Math.max(Math.ceil(request.deadlineMs / 1000), 5),
        },
        watch,
      );
    } catch (error) {
      if (error instanceof ReplicateRefusal && error.status < 500) throw this.#toRefusal(error);
      // It may be running all the same.
      const search = this.#search({ input, webhook, sinceMs, request });
      if (request.signal.aborted) {
        request.background(search.then((found) => found && this.#cancel(found.id)));
        throw error;
      }
      const found = await search;
      if (found !== undefined) return found;
      throw error instanceof ReplicateRefusal ? this.#toRefusal(error) : error;
    }
  }

  /** The prediction that a lost answer was about, or undefined. */
  async #search(lost: {
    readonly input: Readonly<Record<string, unknown>>;
    readonly webhook: string | undefined;
    readonly sinceMs: number;
    readonly request: UpstreamRequest;
  }): Promise<HostedPrediction | undefined> {
    const { input, webhook, sinceMs, request } = lost;
    const { signal } = new AbortController();
    const { idleMs } = this.#options;
    using watch = new Watch({ deadlineMs: idleMs, idleMs, signal });
    for (let attempt = 0; attempt < SEARCHES_MAX; attempt += 1) {
      try {
        const known = request.news?.predictionId;
        if (known !== undefined) return await this.#api.get(known, watch);
        const found = (await this.#api.list(watch)).find((item) =>
          webhook !== undefined && typeof item.webhook === 'string'
            ? item.webhook === webhook
            : wasMadeSince(item, sinceMs - CLOCK_SKEW_MS) && isSameInput(item.input, input),
        );
        if (found !== undefined) return found;
        await watch.guard(pause(SEARCH_PAUSE_MS));
      } catch (error) {
        // The search is a favour: its failure is not what the caller is told about.
        if (!(error instanceof ServiceError) && !(error instanceof ReplicateRefusal)) throw error;
        if (error instanceof ServiceError && error.code === 'deadline_exceeded') return undefined;
      }
    }
    return undefined;
  }

  /** Looks until it has ended. */
  async #follow(
    created: HostedPrediction,
    request: UpstreamRequest,
    watch: Watch,
  ): Promise<HostedPrediction> {
    let hosted = created;
    let failures = 0;
    let waitMs = POLL_MS_MIN;
    let heard = 0;
    while (!isTerminal(hosted)) {
      watch.rest();
      const news = request.news?.after(heard);
      await this.#pause(waitMs, { news, hosted, watch });
      watch.touch();
      heard = request.news?.count ?? 0;
      waitMs = Math.min(waitMs * 1.5, POLL_MS_MAX);
      try {
        hosted = await this.#api.get(hosted.id, watch);
        failures = 0;
      } catch (error) {
        const failure = error instanceof ReplicateRefusal ? this.#toRefusal(error) : error;
        watch.throwIfStopped();
        failures += 1;
        const mayRepeat =
          isTransient(error) &&
          failures < POLL_FAILURES_MAX &&
          this.#options.retryBudget.takeRetry();
        if (!mayRepeat) throw failure;
        if (failure instanceof ServiceError) waitMs = Math.max(waitMs, failure.retryAfterMs ?? 0);
      }
    }
    return hosted;
  }

  /** Waits, but not for longer than there is no news. */
  async #pause(
    ms: number,
    waiting: {
      readonly news: Promise<void> | undefined;
      readonly hosted: HostedPrediction;
      readonly watch: Watch;
    },
  ): Promise<void> {
    const { news, hosted, watch } = waiting;
    const jitteredMs = ms * (0.75 + 0.5 * this.#options.random());
    try {
      await watch.guard(Promise.race([pause(jitteredMs), ...(news === undefined ? [] : [news])]));
    } catch (error) {
      // A model that has not begun by the deadline is being loaded: the caller may come back for it.
      const isCold = hosted.status === 'starting';
      if (isCold && error instanceof ServiceError && error.code === 'deadline_exceeded') {
        throw new ServiceError('model_unavailable', {
          detail: 'The model is being started.',
          retryAfterMs: COLD_START_RETRY_MS,
        });
      }
      throw error;
    }
  }

  async #toPrediction(
    hosted: HostedPrediction,
    { model, recordBytesMax, input }: UpstreamRequest,
    watch: Watch,
  ): Promise<Prediction> {
    const { status, metrics } = hosted;
    if (status === 'failed') {
      // Its words are somebody else's and may hold anything.
      throw new ServiceError('upstream_invalid_response', {
        message: `the hosted prediction failed: ${String(hosted.error).slice(0, 256)}`,
      });
    }
    if (status !== 'succeeded') return { status: 'canceled' };
    const { baseUrl, fetch } = this.#options;
    watch.touch();
    const picture = await readHostedPicture(hosted.output, {
      bytesMax: recordBytesMax,
      apiOrigin: new URL(baseUrl).origin,
      xmp: buildXmp({ id: model, revision: this.#options.model }),
      fetch,
      watch,
    });
    return {
      status: 'succeeded',
      output: [picture.dataUri],
      output_sha256: [picture.digest],
      ...(input.seed !== undefined && { seed: input.seed }),
      ...(metrics?.predict_time !== undefined && {
        metrics: { predict_time: metrics.predict_time, denoise_time: metrics.predict_time },
      }),
    };
  }

  async #cancel(id: string): Promise<void> {
    const { signal } = new AbortController();
    const deadlineMs = CANCEL_DEADLINE_MS;
    using watch = new Watch({ deadlineMs, idleMs: deadlineMs, signal });
    try {
      await this.#api.cancel(id, watch);
    } catch (error) {
      // Over already, or out of reach: then `Cancel-After` ends it.
      if (!(error instanceof ServiceError) && !(error instanceof ReplicateRefusal)) throw error;
    }
  }

  #webhookOf({ jobName, id }: UpstreamRequest): string | undefined {
    const { webhookUrl } = this.#options;
    if (webhookUrl === undefined || jobName === undefined) return undefined;
    return `${webhookUrl}?job=${encodeURIComponent(jobName)}&run=${encodeURIComponent(id)}`;
  }

  /** What an answer other than 2xx means for the caller. */
  #toRefusal({ status, headers, text }: ReplicateRefusal): ServiceError {
    const retryAfterMs = parseRetryAfter(headers.get('Retry-After'), this.#options.now());
    const hintMs = retryAfterMs ?? RETRY_AFTER_MS;
    switch (status) {
      case 429:
        return new RestError('overloaded', { retryAfterMs: hintMs, restMs: hintMs });
      case 503:
        return new ServiceError('model_unavailable', { retryAfterMs: hintMs });
      case 401:
      case 402:
      case 403:
      case 404:
        return new RestError('model_unavailable', {
          message: `Replicate answered ${status}: token, billing or model name`,
          retryAfterMs: hintMs,
          restMs: hintMs,
        });
      default:
        return new ServiceError('upstream_invalid_response', {
          message: `Replicate answered ${status}: ${text.slice(0, 256)}`,
          ...(status >= 500 && { retryAfterMs: hintMs }),
        });
    }
  }
}

function isTerminal({ status }: HostedPrediction): boolean {
  return status !== 'starting' && status !== 'processing';
}

/** Whether another look may find what this one did not. */
function isTransient(error: unknown): boolean {
  if (error instanceof ReplicateRefusal) return error.status === 429 || error.status >= 500;
  return error instanceof ServiceError && error.code === 'upstream_lost';
}

function wasMadeSince({ created_at: made }: HostedPrediction, sinceMs: number): boolean {
  return typeof made === 'string' && Date.parse(made) >= sinceMs;
}

/** Whether every member that was sent is there, unchanged: the host may have added others. */
function isSameInput(
  input: Readonly<Record<string, unknown>> | null | undefined,
  sent: Readonly<Record<string, unknown>>,
): boolean {
  if (input === null || input === undefined) return false;
  return Object.entries(sent).every(
    ([name, value]) => JSON.stringify(input[name]) === JSON.stringify(value),
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
