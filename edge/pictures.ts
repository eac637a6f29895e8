/**
 * A picture by its cache key: from the store if it is there, else from the job object that draws it.
 */
import { decodeBase64, encodeBase64 } from '#shared/base64.ts';
import { ServiceError } from '#shared/errors.ts';
import type { Progress } from '#shared/progress-line.ts';
import type { CacheOutcome } from '#shared/schemas/image.ts';
import type { ImageStore } from './image-store.ts';
import type { JobCompleted, JobPreview, JobSpec, PictureEntry, Timings } from './job-protocol.ts';
import { type JobNamespace, type OpenJob, openJob } from './jobs.ts';
import type { BucketView } from './token-bucket.ts';

/** What `Cache-Control` of the request asks for. */
export interface CacheWish {
  /** `no-cache`: draw again and keep it. */
  readonly reload: boolean;
  /** `no-store`: draw again and do not keep it. */
  readonly noStore: boolean;
  /** `only-if-cached`: draw nothing. */
  readonly onlyIfCached: boolean;
}

export interface PictureRequest {
  readonly spec: JobSpec;
  readonly wish: CacheWish;
  /** Name of the object that draws what must not be kept; absent: any. */
  readonly privateName?: string | undefined;
  /** Runs before an object is asked to draw. */
  readonly beforeDrawing?: (() => Promise<void>) | undefined;
  /** Whether the bytes are wanted, or only their digest. */
  readonly wantsBytes: boolean;
  readonly signal: AbortSignal;
  readonly waitUntil: (work: Promise<unknown>) => void;
  readonly onBudget: (budget: BucketView) => void;
  /** Told how long the store was asked. */
  readonly onLookUp: <T>(work: () => Promise<T>) => Promise<T>;
}

/** A finished picture. */
export interface Picture {
  readonly type: 'picture';
  readonly outcome: CacheOutcome;
  readonly entry: PictureEntry;
  readonly timings: Timings;
  /** The file in base64; empty when only the digest was wanted. */
  readonly base64: string;
}

export type PictureItem =
  | { readonly type: 'heartbeat' }
  | ({ readonly type: 'progress' } & Progress)
  | ({ readonly type: 'preview' } & JobPreview)
  | Picture;

/** A picture under way: how it is come by is known, and whether it may be drawn at all. */
export interface BegunPicture {
  readonly outcome: CacheOutcome;
  /** Ends after `picture`. */
  readonly items: AsyncGenerator<PictureItem, void, undefined>;
}

/** The bucket gets this long for a picture that a job has stored. */
const STORED_READ_DEADLINE_MS = 10_000;

export class Pictures {
  readonly #images: ImageStore;
  readonly #jobs: JobNamespace;

  constructor({ images, jobs }: { images: ImageStore; jobs: JobNamespace }) {
    this.#images = images;
    this.#jobs = jobs;
  }

  /** @throws {ServiceError} `not_cached`, or what the job object refuses with */
  async begin(request: PictureRequest): Promise<BegunPicture> {
    const { wish } = request;
    if (!wish.reload && !wish.noStore) {
      const cached = await request.onLookUp(() => this.#findCached(request));
      if (cached !== undefined) return { outcome: 'hit', items: once(cached) };
    }
    if (wish.onlyIfCached) throw new ServiceError('not_cached');
    await request.beforeDrawing?.();
    const job = await this.#open(request, wish.reload);
    const outcome = OUTCOMES[job.head.role];
    return { outcome, items: this.#follow(request, job) };
  }

  async #findCached(request: PictureRequest): Promise<Picture | undefined> {
    const { spec, waitUntil, wantsBytes } = request;
    const entry = await this.#images.findEntry(spec.cacheKey, waitUntil);
    if (entry === undefined) return undefined;
    const image = await this.#images.readImage(entry, waitUntil);
    if (image === undefined) {
      // The index outlived the picture; drawing it again mends that.
      this.#images.forget(spec.cacheKey);
      return undefined;
    }
    const base64 = wantsBytes ? encodeBase64(image.bytes) : '';
    return { type: 'picture', outcome: 'hit', entry, timings: {}, base64 };
  }

  #open(request: PictureRequest, fresh: boolean): Promise<OpenJob> {
    const { spec, signal, onBudget, wantsBytes, privateName } = request;
    return openJob(this.#jobs, {
      order: { spec, from: 0, fresh, inline: wantsBytes },
      // What must not be kept is drawn by an object of its own, so that nobody can join it.
      name: spec.store ? spec.cacheKey : (privateName ?? crypto.randomUUID()),
      signal,
      onBudget,
    });
  }

  async *#follow(
    request: PictureRequest,
    opened: OpenJob,
  ): AsyncGenerator<PictureItem, void, undefined> {
    let job = opened;
    for (let attempt = 1; ; attempt += 1) {
      for await (const item of job.items) {
        if (item.type !== 'completed') {
          yield item.type === 'accepted' ? { type: 'heartbeat' } : item;
          continue;
        }
        const base64 = await this.#bytesOf(request, item);
        if (base64 !== undefined) {
          const outcome = OUTCOMES[job.head.role];
          yield { type: 'picture', outcome, entry: item.entry, timings: item.timings, base64 };
          return;
        }
      }
      // The job says stored and the store says no: the picture has been dropped since.
      if (attempt > 1) {
        throw new ServiceError('internal_error', { message: 'a stored picture cannot be read' });
      }
      job = await this.#open(request, true);
    }
  }

  /** The file in base64, or undefined when it is nowhere. */
  async #bytesOf(request: PictureRequest, completed: JobCompleted): Promise<string | undefined> {
    const { spec, waitUntil, wantsBytes } = request;
    const { entry, image } = completed;
    if (image !== undefined) {
      if (spec.store) this.#images.remember(spec.cacheKey, entry, decodeBase64(image));
      return wantsBytes ? image : '';
    }
    // It was stored a moment ago: slow is not missing, and drawing it again would take longer.
    const deadlineMs = STORED_READ_DEADLINE_MS;
    const stored = await this.#images.readImage(entry, waitUntil, { deadlineMs });
    if (stored === undefined) return undefined;
    return wantsBytes ? encodeBase64(stored.bytes) : '';
  }
}

const OUTCOMES = { leader: 'miss', follower: 'coalesced', late: 'hit' } as const;

async function* once(picture: Picture): AsyncGenerator<PictureItem, void, undefined> {
  yield picture;
}
