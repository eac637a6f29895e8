/**
 * The Durable Object of one account: its predictions, files, deployments and webhooks.
 *
 * A prediction runs here, whether anybody waits for it or not: this object follows the jobs that draw its pictures. While one
 * runs the alarm stands a few seconds ahead, so that a lost object takes up its predictions again; afterwards it stands where
 * a delivery or an expiry is due.
 */
import { DurableObject } from 'cloudflare:workers';
import { MEDIA_TYPES } from '#shared/headers.ts';
import { equalBytes } from '#shared/hex.ts';
import type { WebhookEvent } from '#shared/schemas/replicate.ts';
import {
  type AccountStub,
  type DeploymentRecord,
  type FileRecord,
  fileName,
  type PredictionAnswer,
  type PredictionOrder,
  type PredictionQuery,
  type PredictionRecord,
  STREAM_QUERY,
} from './account-protocol.ts';
import { AccountRecords, type Delivery } from './account-records.ts';
import { loadConfig } from './config.ts';
import type { Env } from './env.ts';
import { newIdentifier } from './identifier.ts';
import type { JobSpec } from './job-protocol.ts';
import { createLog, type Log } from './log.ts';
import { openImageStore } from './open-image-store.ts';
import { Pictures } from './pictures.ts';
import { framesAfter, PredictionRun } from './prediction-run.ts';
import { toServiceError } from './render-error.ts';
import { ATTEMPTS_MAX, type DeliveryOutcome, retryDelayMs, sendWebhook } from './send-webhook.ts';
import { newStreamToken } from './stream-token.ts';
import type { BucketView } from './token-bucket.ts';
import { toWebhookBody } from './webhook-body.ts';
import { newWebhookSecret } from './webhook-signature.ts';

/** While predictions run the alarm is this far away: it fires only if the object has been lost. */
const LEASE_MS = 5000;
const RUNNING_MAX = 100;
const TRIES_MAX = 2;
const RETENTION_MS = 30 * 86_400_000;
/** How long a replaced secret goes on signing. */
const ROTATION_MS = 86_400_000;
/** Progress reaches a receiver at most this often. */
const THROTTLE_MS = 500;
const DELIVERIES_AT_ONCE = 16;

interface WebhookSecret {
  readonly secret: string;
  readonly untilMs: number | null;
}

export class Account extends DurableObject<Env> implements AccountStub {
  readonly #log: Log;
  readonly #records: AccountRecords;
  readonly #pictures: Pictures;
  readonly #running = new Map<string, PredictionRun>();
  /** When a webhook for progress was last sent for a prediction. */
  readonly #sentMs = new Map<string, number>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const config = loadConfig(env);
    this.#log = createLog(config.logLevel);
    this.#records = new AccountRecords(ctx.storage);
    const images = openImageStore(env, { config, log: this.#log });
    this.#pictures = new Pictures({ images, jobs: env.JOB });
  }

  async createPrediction(order: PredictionOrder): Promise<PredictionAnswer> {
    let budget: BucketView | null = null;
    if (this.#running.size >= RUNNING_MAX) {
      const detail = `At most ${RUNNING_MAX} predictions of an account run at a time.`;
      return { failure: { code: 'rate_limited', detail, retryAfterMs: 1000 }, budget };
    }
    const run = this.#newRun(this.#newRecord(order), order.specs, order, (view) => {
      budget = view;
    });
    const { id } = run.record;
    // Held already now, so that what is begun at the same time cannot pass the bound together.
    this.#running.set(id, run);
    try {
      await run.begin();
    } catch (error) {
      this.#running.delete(id);
      const { code, detail, param, retryAfterMs } = toServiceError(error);
      if (code === 'internal_error') this.#log.error('prediction.failed', {}, error);
      return { failure: { code, detail, param, retryAfterMs }, budget };
    }
    this.#records.insertPrediction(run.record, order.specs);
    await this.#lease();
    this.ctx.waitUntil(this.#finish(run));
    return { record: run.record, budget };
  }

  async getPrediction(id: string): Promise<PredictionRecord | null> {
    const run = this.#running.get(id);
    run?.touch();
    return run?.record ?? this.#records.prediction(id) ?? null;
  }

  async awaitPrediction(id: string, ms: number): Promise<PredictionRecord | null> {
    const run = this.#running.get(id);
    if (run === undefined) return this.getPrediction(id);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([run.ended, late]);
    if (timer !== undefined) clearTimeout(timer);
    return run.record;
  }

  async cancelPrediction(id: string): Promise<PredictionRecord | null> {
    const run = this.#running.get(id);
    if (run === undefined) return this.#records.prediction(id) ?? null;
    run.cancel();
    return run.ended;
  }

  async listPredictions(query: PredictionQuery): Promise<PredictionRecord[]> {
    return this.#records
      .predictions(query)
      .map((record) => this.#running.get(record.id)?.record ?? record);
  }

  /** The stream of a prediction as server-sent events, or 404. */
  override async fetch(request: Request): Promise<Response> {
    const query = new URL(request.url).searchParams;
    const id = query.get(STREAM_QUERY.id) ?? '';
    const from = Number(query.get(STREAM_QUERY.from) ?? 0);
    const run = this.#running.get(id);
    const record = run?.record ?? this.#records.prediction(id);
    const isKnown =
      record !== undefined && equalTexts(record.streamToken, query.get(STREAM_QUERY.token) ?? '');
    if (!isKnown) return new Response(null, { status: 404 });
    const headers = { 'Content-Type': MEDIA_TYPES.eventStream };
    if (request.headers.get('Accept') === MEDIA_TYPES.json) return Response.json(record);
    if (run === undefined) {
      // Of a prediction whose object was lost a moment ago the alarm will take care; the reader comes back.
      const frames = record.completedMs === null ? [] : framesAfter(record, from);
      return new Response(frames.join(''), { headers });
    }
    const { stream, leave } = run.follow(from);
    if (request.signal.aborted) leave();
    else request.signal.addEventListener('abort', leave);
    return new Response(stream, { headers });
  }

  async addFile(record: FileRecord): Promise<boolean> {
    const isAdded = this.#records.insertFile(record);
    if (isAdded) await this.#schedule();
    return isAdded;
  }

  async getFile(id: string): Promise<FileRecord | null> {
    return this.#records.file(id, Date.now()) ?? null;
  }

  async listFiles(): Promise<FileRecord[]> {
    return this.#records.files(Date.now());
  }

  async removeFile(id: string): Promise<FileRecord | null> {
    const record = this.#records.file(id, Date.now());
    if (record !== undefined) this.#records.deleteFile(id);
    return record ?? null;
  }

  async putDeployment(record: DeploymentRecord): Promise<boolean> {
    return this.#records.putDeployment(record);
  }

  async getDeployment(name: string): Promise<DeploymentRecord | null> {
    return this.#records.deployment(name) ?? null;
  }

  async listDeployments(): Promise<DeploymentRecord[]> {
    return this.#records.deployments();
  }

  async removeDeployment(name: string): Promise<boolean> {
    return this.#records.deleteDeployment(name);
  }

  async webhookSecrets(): Promise<string[]> {
    return this.#secrets().map(({ secret }) => secret);
  }

  async rotateWebhookSecret(): Promise<string[]> {
    const [current] = this.#secrets();
    const next: WebhookSecret = { secret: newWebhookSecret(), untilMs: null };
    const untilMs = Date.now() + ROTATION_MS;
    const secrets = current === undefined ? [next] : [next, { ...current, untilMs }];
    this.#records.putSetting('webhook_secrets', secrets);
    return secrets.map(({ secret }) => secret);
  }

  override async alarm(): Promise<void> {
    const nowMs = Date.now();
    for (const { record, restart } of this.#records.unfinished()) {
      if (this.#running.has(record.id)) continue;
      if (restart !== undefined && restart.tries < TRIES_MAX) {
        this.#log.info('prediction.resumed', {
          prediction_id: record.id,
          tries: restart.tries + 1,
        });
        this.#records.countTry(record.id);
        this.#resume(record, restart.specs);
        continue;
      }
      const lost = toServiceError(undefined);
      const end = { status: 'failed', error: lost.detail, code: lost.code } as const;
      this.#written({ ...record, ...end, completedMs: nowMs, lastSeq: 1 });
    }
    const owner = this.#records.setting<string>('owner');
    const files = this.#records.forgetExpired({ nowMs, predictionsBeforeMs: nowMs - RETENTION_MS });
    if (owner !== undefined && files.length > 0) {
      this.ctx.waitUntil(this.env.IMAGES.delete(files.map((id) => fileName(owner, id))));
    }
    const due = this.#records.dueDeliveries(nowMs, DELIVERIES_AT_ONCE);
    await Promise.all(due.map((delivery) => this.#deliver(delivery)));
    await this.#schedule();
  }

  #newRecord(order: PredictionOrder): PredictionRecord {
    const id = newIdentifier();
    const createdMs = Date.now();
    const { model, version, deployment, input, warnings, webhook, origin, owner } = order;
    if (this.#records.setting('owner') === undefined) this.#records.putSetting('owner', owner);
    return {
      id,
      model,
      version,
      deployment,
      input,
      status: 'starting',
      output: null,
      logs: '',
      error: null,
      code: null,
      warnings,
      createdMs,
      startedMs: null,
      completedMs: null,
      deadlineMs: order.cancelAfterMs === null ? null : createdMs + order.cancelAfterMs,
      webhook,
      origin,
      streamToken: newStreamToken(owner, id),
      lastSeq: 0,
    };
  }

  #newRun(
    record: PredictionRecord,
    specs: readonly JobSpec[],
    wish: { readonly reload: boolean; readonly onlyIfCached: boolean },
    onBudget: (view: BucketView) => void = () => undefined,
  ): PredictionRun {
    return new PredictionRun({
      record,
      specs,
      wish: { reload: wish.reload, onlyIfCached: wish.onlyIfCached },
      pictures: this.#pictures,
      waitUntil: (work) => this.ctx.waitUntil(work),
      onBudget,
      onChange: (event, changed) => this.#notify(event, changed),
      now: Date.now,
    });
  }

  /** Takes up a prediction whose object was lost; its jobs may still run, or may have finished. */
  #resume(record: PredictionRecord, specs: readonly JobSpec[]): void {
    const run = this.#newRun(record, specs, { reload: false, onlyIfCached: false });
    this.#running.set(record.id, run);
    this.ctx.waitUntil(this.#finish(run));
  }

  async #finish(run: PredictionRun): Promise<void> {
    const record = await run.run();
    this.#sentMs.delete(record.id);
    this.#written(record);
    this.#running.delete(record.id);
    await this.#schedule();
  }

  /** Writes an ended prediction, and sends what its receiver waits for. */
  #written(record: PredictionRecord): void {
    const { id, status, code, createdMs, completedMs } = record;
    this.#records.endPrediction(record);
    this.#log.info('prediction.completed', {
      prediction_id: id,
      status,
      ...(code !== null && { code }),
      total_ms: (completedMs ?? createdMs) - createdMs,
    });
    const { webhook } = record;
    if (!webhook?.events.some((event) => event === 'completed' || event === 'output')) return;
    const delivery = {
      id: `msg_${newIdentifier()}`,
      predictionId: id,
      attempts: 0,
      dueMs: Date.now(),
    };
    if (this.#records.putDelivery(delivery)) this.ctx.waitUntil(this.#deliver(delivery));
    else this.#log.error('webhook.dropped', { prediction_id: id });
  }

  /** Sends `start` and `logs` once, `logs` not too often: whoever misses one gets the whole state with the next. */
  #notify(event: WebhookEvent, record: PredictionRecord): void {
    const { webhook, id } = record;
    if (webhook === null || !webhook.events.includes(event) || webhook.form === 'fal') return;
    const nowMs = Date.now();
    if (event === 'logs' && nowMs - (this.#sentMs.get(id) ?? 0) < THROTTLE_MS) return;
    this.#sentMs.set(id, nowMs);
    this.ctx.waitUntil(this.#send(record, `msg_${newIdentifier()}`));
  }

  async #deliver(delivery: Delivery): Promise<void> {
    const { id, predictionId } = delivery;
    const attempts = delivery.attempts + 1;
    const record = this.#records.prediction(predictionId);
    if (record === undefined) {
      this.#records.deleteDelivery(id);
      return;
    }
    // Written before it is sent: should the object be lost meanwhile, the attempt counts.
    this.#records.putDelivery({
      id,
      predictionId,
      attempts,
      dueMs: Date.now() + retryDelayMs(attempts, Math.random()),
    });
    const outcome = await this.#send(record, id);
    if (outcome !== 'retry' || attempts >= ATTEMPTS_MAX) {
      this.#records.deleteDelivery(id);
      const fields = { prediction_id: predictionId, outcome, attempts };
      if (outcome === 'delivered') this.#log.info('webhook.delivered', fields);
      else this.#log.error('webhook.failed', fields);
    }
    await this.#schedule();
  }

  async #send(record: PredictionRecord, id: string): Promise<DeliveryOutcome> {
    const body = toWebhookBody(record);
    return sendWebhook(
      { url: record.webhook?.url ?? '', id, body },
      { secrets: await this.webhookSecrets(), fetch: (request) => fetch(request), now: Date.now },
    );
  }

  /** Secrets that sign now, the newest first; made when first asked for. */
  #secrets(): WebhookSecret[] {
    const nowMs = Date.now();
    const stored = this.#records.setting<WebhookSecret[]>('webhook_secrets') ?? [];
    const valid = stored.filter(({ untilMs }) => untilMs === null || untilMs > nowMs);
    if (valid.length > 0) return valid;
    const made = [{ secret: newWebhookSecret(), untilMs: null }];
    this.#records.putSetting('webhook_secrets', made);
    return made;
  }

  async #lease(): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now() + LEASE_MS);
  }

  /** Sets the alarm to whatever is due next. */
  async #schedule(): Promise<void> {
    if (this.#running.size > 0) return this.#lease();
    const dueMs = this.#records.nextDueMs({ retentionMs: RETENTION_MS });
    if (dueMs === undefined) await this.ctx.storage.deleteAlarm();
    else await this.ctx.storage.setAlarm(Math.max(dueMs, Date.now() + 1));
  }
}

function equalTexts(a: string, b: string): boolean {
  const encoder = new TextEncoder();
  return equalBytes(encoder.encode(a), encoder.encode(b));
}
