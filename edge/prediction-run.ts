/**
 * One prediction while it runs: its pictures are drawn, its log grows, its stream is told.
 *
 *     starting → processing → succeeded | failed | canceled
 *
 * Nothing here is stored: the account object writes the record when the run begins and when it has ended.
 */
import { ServiceError } from '#shared/errors.ts';
import { RESUME_GRACE_MS } from '#shared/limits.ts';
import { progressLine } from '#shared/progress-line.ts';
import type { WebhookEvent } from '#shared/schemas/replicate.ts';
import { encodeSseEvent } from '#shared/sse.ts';
import type { OutputFile, PredictionRecord } from './account-protocol.ts';
import { drawAll } from './drawing.ts';
import { type FollowerStream, Followers } from './followers.ts';
import type { JobSpec } from './job-protocol.ts';
import type { BegunPicture, Picture, PictureItem, Pictures } from './pictures.ts';
import { urlOf } from './prediction-object.ts';
import { toServiceError } from './render-error.ts';
import type { BucketView } from './token-bucket.ts';

export interface RunOptions {
  readonly record: PredictionRecord;
  readonly specs: readonly JobSpec[];
  readonly wish: { readonly reload: boolean; readonly onlyIfCached: boolean };
  readonly pictures: Pictures;
  readonly waitUntil: (work: Promise<unknown>) => void;
  readonly onBudget: (view: BucketView) => void;
  /** Told of everything that a webhook may be sent for. */
  readonly onChange: (event: WebhookEvent, record: PredictionRecord) => void;
  readonly now: () => number;
}

/** Why a run was stopped from outside. */
class Canceled extends Error {
  override readonly name = 'Canceled';
}

const LOGS_LENGTH_MAX = 65_536;

export class PredictionRun {
  readonly #options: RunOptions;
  readonly #controller = new AbortController();
  readonly #followers: Followers;
  readonly #frames: Uint8Array[] = [];
  readonly #ended = Promise.withResolvers<PredictionRecord>();
  /** Steps done of each picture. */
  readonly #steps: number[] = [];
  #record: PredictionRecord;
  #first: Promise<BegunPicture> | undefined;
  #polledMs = 0;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#record = options.record;
    this.#followers = new Followers({ onEmpty: () => this.#abandon(), now: options.now });
  }

  get record(): PredictionRecord {
    return this.#record;
  }

  /** Resolves with the record once it has ended. */
  get ended(): Promise<PredictionRecord> {
    return this.#ended.promise;
  }

  /**
   * Begins the first picture, so that a refusal can be answered with a status.
   *
   * @throws {ServiceError}
   */
  async begin(): Promise<void> {
    this.#first = this.#begin(0);
    await this.#first;
    this.#record = { ...this.#record, status: 'processing', startedMs: this.#options.now() };
  }

  /** Draws to the end; never rejects. */
  async run(): Promise<PredictionRecord> {
    const { specs, now, onChange } = this.#options;
    const { deadlineMs } = this.#record;
    if (deadlineMs !== null) {
      const ms = Math.max(0, deadlineMs - now());
      this.#deadline = setTimeout(() => this.cancel('its deadline has passed'), ms);
    }
    onChange('start', this.#record);
    for (const { code, message } of this.#record.warnings) this.#log(`${code}: ${message}\n`);
    let end: Partial<PredictionRecord>;
    try {
      const drawn = await drawAll(
        {
          planned: specs.map((_, index) => index),
          controller: this.#controller,
          begin: (index) => (index === 0 && this.#first) || this.#begin(index),
        },
        (item, index) => this.#see(item, index),
      );
      end = { status: 'succeeded', output: drawn.map(toOutput), ...this.#warningsOf(drawn) };
    } catch (error) {
      end = this.#endOf(error);
    }
    this.#end(end);
    return this.#record;
  }

  cancel(reason = 'it was canceled'): void {
    this.#controller.abort(new Canceled(reason));
  }

  /** Somebody asks for its state: then it is not abandoned. */
  touch(): void {
    this.#polledMs = this.#options.now();
  }

  /** Its events after `from`, and those to come. */
  follow(from: number): FollowerStream {
    return this.#followers.add({ inline: false, from }, this.#frames.slice(from));
  }

  #begin(index: number): Promise<BegunPicture> {
    const { pictures, specs, wish, waitUntil, onBudget } = this.#options;
    return pictures.begin({
      spec: specs[index]!,
      wish: { ...wish, noStore: false },
      wantsBytes: false,
      signal: this.#controller.signal,
      waitUntil,
      onBudget,
      onLookUp: (work) => work(),
    });
  }

  #see(item: PictureItem, index: number): void {
    if (item.type === 'preview') this.#send('output', item.image);
    if (item.type !== 'progress') return;
    this.#steps[index] = item.done;
    const { specs, now } = this.#options;
    this.#log(
      progressLine({
        done: this.#steps.reduce((sum, steps) => sum + (steps ?? 0), 0),
        total: item.total * specs.length,
        elapsedMs: now() - (this.#record.startedMs ?? now()),
      }),
    );
  }

  #log(text: string): void {
    if (this.#record.logs.length + text.length > LOGS_LENGTH_MAX) return;
    this.#record = { ...this.#record, logs: this.#record.logs + text };
    this.#send('logs', text);
    this.#options.onChange('logs', this.#record);
  }

  #send(event: string, data: string): void {
    const seq = this.#frames.length + 1;
    const frame = encode(toFrame({ event, data, seq, nowMs: this.#options.now() }));
    this.#frames.push(frame);
    this.#followers.send(frame, seq);
  }

  /** Warnings that came with the pictures, each once, beside those of the request. */
  #warningsOf(drawn: readonly Picture[]): Partial<PredictionRecord> {
    const known = new Set(this.#record.warnings.map(({ message }) => message));
    const added = drawn
      .flatMap(({ entry }) => entry.warnings)
      .filter(({ message }) => !known.has(message) && known.add(message));
    for (const { code, message } of added) this.#log(`${code}: ${message}\n`);
    return { warnings: [...this.#record.warnings, ...added] };
  }

  #endOf(error: unknown): Partial<PredictionRecord> {
    const { reason } = this.#controller.signal;
    if (reason instanceof Canceled) return { status: 'canceled' };
    const known = toServiceError(error instanceof ServiceError ? error : (reason ?? error));
    return { status: 'failed', error: known.detail, code: known.code };
  }

  #end(end: Partial<PredictionRecord>): void {
    if (this.#deadline !== undefined) clearTimeout(this.#deadline);
    const completedMs = this.#options.now();
    const ended = { ...this.#record, ...end, completedMs };
    const last = terminalFrames({ ...ended, lastSeq: 0 });
    this.#record = { ...ended, lastSeq: this.#frames.length + last.length };
    const missing = framesAfter(this.#record, this.#frames.length);
    this.#followers.finish(encode(missing.join('')));
    this.#ended.resolve(this.#record);
  }

  /** The last reader of the stream has left: without a webhook or somebody who asks, nobody waits any more. */
  #abandon(): void {
    if (this.#record.webhook !== null) return;
    const leftMs = this.#options.now();
    setTimeout(() => {
      const isWanted = this.#followers.size > 0 || this.#polledMs >= leftMs;
      if (!isWanted) this.cancel('nobody waits for it');
    }, RESUME_GRACE_MS);
  }
}

/** What is left of the stream of an ended prediction for a reader that has everything up to `from`. */
export function framesAfter(record: PredictionRecord, from: number): string[] {
  const last = terminalFrames(record);
  const firstSeq = record.lastSeq - last.length + 1;
  // A reader that has it all is told again that this is the end.
  const start = Math.min(Math.max(0, from + 1 - firstSeq), last.length - 1);
  const nowMs = record.completedMs ?? 0;
  return last.slice(start).map((event, i) => {
    return toFrame({ ...event, seq: firstSeq + start + i, nowMs });
  });
}

/** The URLs of the pictures and `done`, or `error`: exactly one of the two ends a stream. */
function terminalFrames(record: PredictionRecord): { event: string; data: string }[] {
  const { status, output, error, origin } = record;
  if (status === 'failed') return [{ event: 'error', data: JSON.stringify({ detail: error }) }];
  const reason = status === 'canceled' ? { reason: 'canceled' } : {};
  return [
    ...(output ?? []).map((file) => ({ event: 'output', data: urlOf(file, origin) })),
    { event: 'done', data: JSON.stringify(reason) },
  ];
}

function toFrame(of: { event: string; data: string; seq: number; nowMs: number }): string {
  const { event, data, seq, nowMs } = of;
  return encodeSseEvent({ event, id: `${Math.floor(nowMs / 1000)}:${seq}`, data });
}

function toOutput({ entry }: Picture): OutputFile {
  const { digest, format, width, height, seed } = entry;
  return { digest, format, width, height, seed };
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
