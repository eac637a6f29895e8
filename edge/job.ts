/**
 * The Durable Object that owns one execution: one object for each cache key.
 *
 * Whoever wants the picture of its key posts an order. The first order starts the execution and pays for it; every other one
 * that comes while it runs joins it. When the last follower leaves, the execution stops: at once, or after
 * `RESUME_GRACE_MS` where the caller can come back. The bytes of the picture go to the bucket, the events into the log, which
 * survives a crash of the object.
 */
import { DurableObject } from 'cloudflare:workers';
import { ERRORS, ServiceError } from '#shared/errors.ts';
import { MEDIA_TYPES } from '#shared/headers.ts';
import { RESUME_GRACE_MS } from '#shared/limits.ts';
import { encodeSseComment, encodeSseEvent } from '#shared/sse.ts';
import type { TakeResult } from './api-key.ts';
import { type Config, loadConfig } from './config.ts';
import type { Env } from './env.ts';
import { type DrawnFile, execute } from './execution.ts';
import { type FollowerStream, Followers } from './followers.ts';
import { storePicture } from './image-store.ts';
import { JobLog } from './job-log.ts';
import {
  ACCEPTED,
  type Delivery,
  type DeliveryOutcome,
  HEAD_HEADER,
  type JobCompleted,
  type JobEvent,
  type JobFailed,
  type JobHead,
  type JobOrder,
  type JobRefusal,
  type JobSpec,
  PROGRESS,
} from './job-protocol.ts';
import { createLog, type Log } from './log.ts';
import { type BucketView, describeLimits } from './token-bucket.ts';
import { loadUpstreams } from './upstreams/create-upstreams.ts';
import { PredictionNews } from './upstreams/upstream.ts';
import type { Upstreams } from './upstreams/upstreams.ts';

/** While work runs the alarm is this far away: it fires only if the object has been lost. */
const LEASE_MS = 5000;
/** How long the events of a finished job can be replayed. */
const RETENTION_MS = 600_000;
/** Executions of one order that a lost object may cause. */
const TRIES_MAX = 2;
/** Times that one execution is begun: again only where several wait for it. */
const RUNS_MAX = 2;
/** With less time than this left nothing is begun again. */
const RERUN_MS_MIN = 1000;
/** Webhook deliveries of one execution that are remembered, so that none is heard twice. */
const DELIVERIES_MAX = 64;
/** The bucket gets this long before followers are served without it. */
const STORE_DEADLINE_MS = 5000;

interface Placed {
  readonly head: JobHead;
  readonly stream: ReadableStream<Uint8Array>;
  readonly leave?: () => void;
}

interface Execution {
  /** Id of the run at the upstream; another one each time that it is begun. */
  id: string;
  readonly spec: JobSpec;
  readonly tries: number;
  readonly startedMs: number;
  readonly controller: AbortController;
  readonly followers: Followers;
  /** Frame of event `seq` at index `seq - 1`. */
  readonly frames: Uint8Array[];
  /** Rung by webhooks of the run. */
  news: PredictionNews;
  /** Ids of the deliveries that have been heard. */
  readonly deliveries: Set<string>;
  /** Step of the last preview: a second run does not go through them again. */
  previewedStep: number;
  grace: ReturnType<typeof setTimeout> | undefined;
  isLogged: boolean;
  /** The picture is there; what is left to do is done whoever waits. */
  isDrawn: boolean;
}

export class Job extends DurableObject<Env> {
  readonly #log: Log;
  readonly #config: Config;
  readonly #upstreams: Upstreams;
  readonly #events: JobLog;
  #running: Execution | undefined;
  /** The execution that was started last: only it may write. */
  #latest: Execution | undefined;
  /** The last result, while the bucket does not have it. */
  #unstored: JobCompleted | undefined;
  /** Orders are looked at one after the other: two of them never both start an execution. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#config = loadConfig(env);
    this.#log = createLog(this.#config.logLevel);
    this.#events = new JobLog(ctx.storage);
    this.#upstreams = loadUpstreams(this.#config);
  }

  override async fetch(request: Request): Promise<Response> {
    const order = (await request.json()) as JobOrder;
    const turn = this.#turn.then(() => this.#place(order));
    this.#turn = turn.catch(() => undefined);
    const placed = await turn;
    if (placed instanceof Response) return placed;
    const { head, stream, leave } = placed;
    // Whoever is lost before the answer leaves here; whoever is lost later cancels the stream.
    if (request.signal.aborted) leave?.();
    else if (leave !== undefined) request.signal.addEventListener('abort', leave);
    return new Response(stream, {
      headers: { 'Content-Type': MEDIA_TYPES.eventStream, [HEAD_HEADER]: JSON.stringify(head) },
    });
  }

  /** A webhook has told that a prediction of the run has changed: whoever waits for it looks at once. */
  deliver({ run, predictionId, deliveryId }: Delivery): DeliveryOutcome {
    const running = this.#running;
    if (running?.id !== run) return 'unknown';
    const { deliveries, news } = running;
    if (deliveries.has(deliveryId)) return 'repeated';
    if (deliveries.size >= DELIVERIES_MAX) return 'unknown';
    deliveries.add(deliveryId);
    news.ring(predictionId);
    return 'taken';
  }

  /** Fires when the object was lost with work in hand, and when the retention is over. */
  override async alarm(): Promise<void> {
    if (this.#running !== undefined) {
      await this.ctx.storage.setAlarm(Date.now() + LEASE_MS);
      return;
    }
    const row = this.#events.read();
    if (row?.state !== 'running') {
      await this.#forget();
      return;
    }
    if (row.spec.resumable && row.tries < TRIES_MAX) {
      this.#log.info('job.resumed', { request_id: row.spec.requestId, tries: row.tries + 1 });
      this.#start(row.spec, row.tries + 1);
      await this.ctx.storage.setAlarm(Date.now() + LEASE_MS);
      return;
    }
    // Nobody can come back to it: its followers were cut off with the object.
    this.#events.end('failed');
    await this.ctx.storage.setAlarm(Date.now() + RETENTION_MS);
  }

  /** Joins what runs, replays what is finished, or starts. */
  async #place(order: JobOrder): Promise<Response | Placed> {
    const running = this.#running;
    if (running !== undefined && !running.controller.signal.aborted) {
      if (running.followers.isFull) {
        const failure = { code: 'overloaded', detail: 'Too many wait for this picture.' } as const;
        return refuse({ failure: { ...failure, retryAfterMs: 1000 } });
      }
      return { head: { role: 'follower' }, ...this.#follow(running, order, false) };
    }
    if (!order.fresh) {
      const replay = this.#replay(order.from);
      if (replay !== undefined) return { head: { role: 'late' }, stream: replay };
    }
    const { keyId, limits, token, model } = order.spec;
    const closed = this.#upstreams.findRefusal(model);
    // Nobody pays for what cannot be begun.
    if (closed !== undefined) return refuse({ failure: toFailed(closed) });
    const budget = await this.env.API_KEY.getByName(keyId).takeGeneration(limits, token);
    if (budget.taken === 0) return refuse({ failure: refusedBudget(budget, order.spec), budget });
    const execution = this.#start(order.spec, 1);
    const head: JobHead = { role: 'leader', budget: toView(budget) };
    return { head, ...this.#follow(execution, order, order.inline) };
  }

  #follow(execution: Execution, order: JobOrder, inline: boolean): FollowerStream {
    if (execution.grace !== undefined) clearTimeout(execution.grace);
    return execution.followers.add(
      { inline, from: order.from },
      execution.frames.slice(order.from),
    );
  }

  /** A finished job as a stream, or undefined when it has to be drawn. */
  #replay(from: number): ReadableStream<Uint8Array> | undefined {
    if (this.#unstored !== undefined) {
      const frame = toFrame(from + 1, { type: 'completed', ...this.#unstored });
      return new Blob([frame]).stream();
    }
    if (this.#events.read()?.state !== 'completed') return undefined;
    return new Blob(this.#events.framesAfter(from)).stream();
  }

  #start(spec: JobSpec, tries: number): Execution {
    this.#unstored = undefined;
    const execution: Execution = {
      id: crypto.randomUUID(),
      spec,
      tries,
      startedMs: Date.now(),
      controller: new AbortController(),
      followers: new Followers({ onEmpty: () => this.#abandon(execution), now: Date.now }),
      frames: [],
      news: new PredictionNews(),
      deliveries: new Set(),
      previewedStep: 0,
      grace: undefined,
      isLogged: false,
      isDrawn: false,
    };
    this.#running = execution;
    this.#latest = execution;
    this.ctx.waitUntil(this.#run(execution));
    return execution;
  }

  async #run(execution: Execution): Promise<void> {
    for (let run = 1; ; run += 1) {
      try {
        await this.#complete(execution, await this.#draw(execution));
        return;
      } catch (error) {
        if (run >= RUNS_MAX || !this.#mayRunAgain(execution, error)) {
          await this.#fail(execution, error);
          return;
        }
        this.#log.error('job.rerun', this.#fields(execution), error);
        execution.id = crypto.randomUUID();
        execution.news = new PredictionNews();
      }
    }
  }

  #draw(execution: Execution): Promise<DrawnFile> {
    const { spec, controller, followers, startedMs } = execution;
    return execute(spec, {
      id: execution.id,
      upstreams: this.#upstreams,
      jobName: this.ctx.id.name,
      news: execution.news,
      background: (work) => this.ctx.waitUntil(work),
      deadlineMs: startedMs + spec.deadlineMs - Date.now(),
      now: Date.now,
      signal: controller.signal,
      onAccepted: () => {
        followers.send(encode(encodeSseComment(ACCEPTED)));
        // Not before: the call to the function would wait for the disk. Lost until here, the work has not begun.
        this.#record(execution);
      },
      onPreview: (preview) => {
        if (preview.step <= execution.previewedStep) return;
        execution.previewedStep = preview.step;
        this.#send(execution, { type: 'preview', ...preview });
      },
      // Of the moment: it has no number, and whoever comes later does not miss it.
      onProgress: (progress) =>
        followers.send(encode(encodeSseEvent({ event: PROGRESS, data: JSON.stringify(progress) }))),
    });
  }

  /** Whether a failure of the upstream is mended here: others wait for the picture too, and none of it has been sent. */
  #mayRunAgain({ followers, controller, startedMs, spec, isDrawn }: Execution, error: unknown) {
    const leftMs = startedMs + spec.deadlineMs - Date.now();
    return (
      followers.size > 1 &&
      !isDrawn &&
      !controller.signal.aborted &&
      leftMs > RERUN_MS_MIN &&
      error instanceof ServiceError &&
      this.#upstreams.takeRetry(error)
    );
  }

  async #complete(execution: Execution, drawing: DrawnFile): Promise<void> {
    const { spec, followers, frames } = execution;
    const { entry, timings, bytes, base64 } = drawing;
    const seq = frames.length + 1;
    const whole: JobCompleted = { entry, timings, stored: false, image: base64 };
    const inlineFrame = encode(toFrame(seq, { type: 'completed', ...whole }));
    execution.isDrawn = true;
    // The leader does not wait for the bucket.
    followers.finish(inlineFrame, (follower) => follower.inline);
    const stored = spec.store && (await this.#store(spec, drawing));
    const result: JobCompleted = { entry, timings, stored };
    if (this.#running === execution) this.#running = undefined;
    const event: JobEvent = { type: 'completed', ...result };
    followers.finish(stored ? encode(toFrame(seq, event)) : inlineFrame);
    this.#settle(execution, 'completed');
    this.#log.info('job.completed', {
      ...this.#fields(execution),
      digest: entry.digest,
      size_bytes: bytes.length,
      stored,
    });
    // Abandoned while its picture was being checked: another execution owns the log.
    if (this.#latest !== execution) return;
    if (!spec.store) {
      await this.#forget();
      return;
    }
    this.#unstored = stored ? undefined : whole;
    this.#append(execution, seq, event);
    // Without its bytes a result cannot be replayed: the next order draws it again.
    this.#events.end(stored ? 'completed' : 'failed');
    await this.ctx.storage.setAlarm(Date.now() + RETENTION_MS);
  }

  async #store(spec: JobSpec, { entry, bytes }: DrawnFile): Promise<boolean> {
    const work = storePicture(this.env.IMAGES, spec, entry, bytes).then(
      () => true,
      (error: unknown) => {
        this.#log.error('bucket.failed', { operation: 'put', digest: entry.digest }, error);
        return false;
      },
    );
    return Promise.race([work, pause(STORE_DEADLINE_MS).then(() => false)]);
  }

  async #fail(execution: Execution, error: unknown): Promise<void> {
    const { followers, frames, controller } = execution;
    if (this.#running === execution) this.#running = undefined;
    const left = controller.signal.aborted && error === controller.signal.reason;
    const failure = toFailed(error);
    const event: JobEvent = { type: 'failed', ...failure };
    const seq = frames.length + 1;
    followers.finish(encode(toFrame(seq, event)));
    this.#settle(execution, left ? 'canceled' : 'failed');
    if (left) {
      this.#log.info('job.abandoned', this.#fields(execution));
      if (this.#latest === execution) await this.#forget();
      return;
    }
    const fields = { ...this.#fields(execution), code: failure.code };
    if (ERRORS[failure.code].status >= 500) this.#log.error('job.failed', fields, error);
    else this.#log.info('job.failed', fields);
    // What was refused before it was taken is nowhere on the disk, and stays off it.
    if (this.#latest !== execution || !execution.isLogged) return;
    this.#append(execution, seq, event);
    this.#events.end('failed');
    await this.ctx.storage.setAlarm(Date.now() + RETENTION_MS);
  }

  #send(execution: Execution, event: JobEvent): void {
    const seq = execution.frames.length + 1;
    const frame = encode(toFrame(seq, event));
    execution.frames.push(frame);
    execution.followers.send(frame, seq);
    this.#append(execution, seq, event);
  }

  #append(execution: Execution, seq: number, event: JobEvent): void {
    // An execution that was abandoned a moment ago has no say any more.
    if (this.#latest !== execution || !execution.spec.store) return;
    this.#record(execution);
    this.#events.append(seq, event);
  }

  /** Writes down that this execution runs, once. */
  #record(execution: Execution): void {
    if (execution.isLogged || !execution.spec.store || this.#latest !== execution) return;
    execution.isLogged = true;
    this.#events.begin(execution.spec, execution.tries);
    this.ctx.waitUntil(this.ctx.storage.setAlarm(Date.now() + LEASE_MS));
  }

  /** The last follower has left. */
  #abandon(execution: Execution): void {
    const stop = () => {
      if (execution.followers.size > 0 || execution.isDrawn) return;
      // The next order starts anew, it does not wait for this one to die.
      if (this.#running === execution) this.#running = undefined;
      execution.controller.abort(new Error('nobody waits for it'));
    };
    if (!execution.spec.resumable) stop();
    else execution.grace = setTimeout(stop, RESUME_GRACE_MS);
  }

  /** Writes the execution down with the key that paid for it. */
  #settle({ spec, startedMs }: Execution, outcome: 'completed' | 'failed' | 'canceled'): void {
    const key = this.env.API_KEY.getByName(spec.keyId);
    const told = key.settle(outcome, Date.now() - startedMs);
    this.ctx.waitUntil(
      told.catch((error: unknown) => this.#log.error('usage.lost', { key_id: spec.keyId }, error)),
    );
  }

  async #forget(): Promise<void> {
    this.#unstored = undefined;
    await this.#events.clear();
  }

  #fields({ id, spec, startedMs, tries }: Execution) {
    return {
      request_id: spec.requestId,
      prediction_id: id,
      prompt_hash: spec.cacheKey,
      key_id: spec.keyId,
      tries,
      total_ms: Date.now() - startedMs,
    };
  }
}

function toFailed(error: unknown): JobFailed {
  const known = error instanceof ServiceError ? error : new ServiceError('internal_error');
  const { code, detail, param, retryAfterMs } = known;
  return { code, detail, param, retryAfterMs };
}

function refusedBudget(budget: TakeResult, { limits, token }: JobSpec): JobFailed {
  if (budget.revoked) return toFailed(new ServiceError('invalid_credentials'));
  if (budget.exhausted === 'quota') {
    const detail = 'The quota of this key is used up.';
    return toFailed(new ServiceError('quota_exhausted', { detail }));
  }
  if (budget.exhausted === 'token') {
    const detail = `At most ${token?.generations} pictures may be drawn with this token.`;
    return toFailed(new ServiceError('quota_exhausted', { detail }));
  }
  return { code: 'rate_limited', detail: describeLimits(limits), retryAfterMs: budget.nextMs };
}

function toView({ remaining, nextMs, fullMs }: BucketView): BucketView {
  return { remaining, nextMs, fullMs };
}

function refuse(refusal: JobRefusal): Response {
  return Response.json(refusal, { status: 400 });
}

function toFrame(seq: number, { type, ...data }: JobEvent): string {
  return encodeSseEvent({ event: type, id: String(seq), data: JSON.stringify(data) });
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}
