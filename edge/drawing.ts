/**
 * The one way from a validated request and its caller to pictures: plan → cache keys → store or job object.
 *
 * Every surface comes through here. What comes before is parsing, what comes after is rendering.
 */
import { ServiceError } from '#shared/errors.ts';
import type { GenerateRequest } from '#shared/schemas/generate.ts';
import type { CacheOutcome } from '#shared/schemas/image.ts';
import type { Warning } from '#shared/schemas/problem.ts';
import type { Caller } from './api-keys.ts';
import type { Deps, GenerationView } from './app-env.ts';
import {
  type GenerationPlan,
  listPictures,
  type Picture as PlannedPicture,
  planGeneration,
  toPredictionInput,
} from './generation.ts';
import { seedOf } from './idempotency.ts';
import type { JobSpec } from './job-protocol.ts';
import { Lru } from './lru.ts';
import {
  type BegunPicture,
  type CacheWish,
  type Picture,
  type PictureItem,
  Pictures,
} from './pictures.ts';
import {
  type BucketState,
  type BucketView,
  bucketOf,
  describeLimits,
  viewBucket,
} from './token-bucket.ts';

/** Who asks, how, and what is to be told to whom. */
export interface DrawingOptions {
  readonly caller: Pick<Caller, 'keyId' | 'account' | 'limits' | 'models' | 'token'>;
  readonly wish: CacheWish;
  /** Members of the body that the schema does not list. */
  readonly unknownNames: readonly string[];
  /** Whether a request without a seed gets a new one each time; else its seed is derived from it. */
  readonly isNewEachTime: boolean;
  /** Whether the caller can come back: then the work goes on for a moment without followers. */
  readonly resumable: boolean;
  /** What all chance of this request comes out of, so that another attempt draws the same; absent: any. */
  readonly salt?: string | undefined;
  /** Whether the bytes of the pictures are wanted, or only their digests. */
  readonly wantsBytes: boolean;
  /** Previews wanted of each picture. */
  readonly previews: number;
  /** Time for one picture; absent is the configured one. */
  readonly deadlineMs?: number | undefined;
  readonly requestId: string;
  readonly traceparent?: string | undefined;
  readonly waitUntil: (work: Promise<unknown>) => void;
  /** Told what is known of the caller's budget, and again when it changes. */
  readonly onBudget?: (view: GenerationView) => void;
  /** Wraps the look-up in the store, to measure it. */
  readonly onLookUp?: <T>(work: () => Promise<T>) => Promise<T>;
}

/** A request on its way: what will be drawn is known, nothing has been begun. */
export interface Drawing {
  readonly plan: GenerationPlan;
  readonly planned: readonly PlannedPicture[];
  /** Aborted when the caller has left or one picture of several has failed: ends whatever was begun. */
  readonly controller: AbortController;
  /** What a job object needs to draw it: outlives this request. */
  readonly specOf: (picture: PlannedPicture) => JobSpec;
  /** Looks the picture up, or has it drawn. */
  readonly begin: (
    picture: PlannedPicture,
    /** Runs before it is drawn, or joined; not when it is in the store. */
    beforeDrawing?: () => Promise<void>,
  ) => Promise<BegunPicture>;
}

/** Pictures of one request that are drawn at the same time: half of the function's queue. */
const CONCURRENCY_MAX = 4;
const BUDGETS_MAX = 10_000;

export class Drawings {
  readonly #deps: Pick<Deps, 'config' | 'randomSeed' | 'now' | 'promptPolicy'>;
  readonly #pictures: Pictures;
  /** What this isolate last heard of each key's budget, for answers that ask nobody. */
  readonly #budgets = new Lru<BucketState>({ countMax: BUDGETS_MAX });

  constructor(
    deps: Pick<Deps, 'config' | 'images' | 'jobs' | 'randomSeed' | 'now' | 'promptPolicy'>,
  ) {
    this.#deps = deps;
    this.#pictures = new Pictures({ images: deps.images, jobs: deps.jobs });
  }

  /**
   * @throws {ServiceError} `model_not_found` or `invalid_parameter`, naming the field; `scope_denied` where the key may not use
   *   the model; `moderation_blocked`
   */
  plan(
    request: GenerateRequest,
    { caller, unknownNames }: Pick<DrawingOptions, 'caller' | 'unknownNames'>,
  ): GenerationPlan {
    const { config, promptPolicy } = this.#deps;
    const { account, keyId } = caller;
    const plan = planGeneration(request, { config, account, keyId, unknownNames });
    if (caller.models?.includes(plan.model.id) === false) {
      throw new ServiceError('scope_denied', {
        detail: `The key may not draw with ${plan.model.id}.`,
        param: 'model',
      });
    }
    promptPolicy.check(plan.base.prompt);
    return plan;
  }

  async prepare(plan: GenerationPlan, options: DrawingOptions): Promise<Drawing> {
    const { config, randomSeed, now } = this.#deps;
    const { caller, wish, salt } = options;
    const drawSeed = salt === undefined ? randomSeed : () => seedOf(salt);
    const drawsAgain = wish.reload || wish.noStore || options.isNewEachTime;
    const planned = await listPictures(plan, { randomSeed: drawsAgain ? drawSeed : undefined });

    const { keyId, limits, token } = caller;
    const known = this.#budgets.get(keyId);
    if (known !== undefined) options.onBudget?.({ limits, ...viewBucket(known, limits, now()) });

    const controller = new AbortController();
    const specOf = (picture: PlannedPicture): JobSpec => ({
      cacheKey: picture.cacheKey,
      input: toPredictionInput(plan, picture),
      model: plan.model.id,
      revision: plan.model.revision,
      previews: options.previews,
      deadlineMs: options.deadlineMs ?? config.jobDeadlineMs,
      store: !wish.noStore,
      resumable: options.resumable,
      account: caller.account,
      owner: plan.owner,
      keyId,
      limits,
      token,
      requestId: options.requestId,
      traceparent: options.traceparent,
    });
    const begin: Drawing['begin'] = (picture, beforeDrawing) =>
      this.#pictures.begin({
        spec: specOf(picture),
        wish,
        privateName: salt === undefined ? undefined : `${salt}-${picture.index}`,
        beforeDrawing,
        wantsBytes: options.wantsBytes,
        signal: controller.signal,
        waitUntil: options.waitUntil,
        onBudget: (view) => {
          this.noteBudget(caller, view);
          options.onBudget?.({ limits, ...view });
        },
        onLookUp: options.onLookUp ?? ((work) => work()),
      });
    return { plan, planned, controller, specOf, begin };
  }

  /** Remembers what was heard of a key's budget, for answers that ask nobody. */
  noteBudget({ keyId, limits }: Pick<Caller, 'keyId' | 'limits'>, view: BucketView): void {
    this.#budgets.set(keyId, bucketOf(view, limits, this.#deps.now()));
  }

  /**
   * Refuses what would be refused anyway, without asking anybody: a budget that was empty when it was last heard of cannot have
   * gained more since than time has given it.
   *
   * @throws {ServiceError} `rate_limited`
   */
  refuseExhausted({ keyId, limits }: Pick<Caller, 'keyId' | 'limits'>): void {
    const known = this.#budgets.get(keyId);
    if (known === undefined) return;
    const { remaining, nextMs } = viewBucket(known, limits, this.#deps.now());
    if (remaining >= 1) return;
    const detail = describeLimits(limits);
    throw new ServiceError('rate_limited', { detail, retryAfterMs: nextMs });
  }
}

/**
 * All pictures of a drawing, several at a time. When one is missing the others are of no use: they are stopped.
 *
 * @param onItem  told of each item of picture `index` on the way
 */
export async function drawAll<Planned>(
  drawing: {
    readonly planned: readonly Planned[];
    readonly controller: AbortController;
    readonly begin: (picture: Planned) => Promise<BegunPicture>;
  },
  onItem: (item: PictureItem, index: number) => void = () => undefined,
): Promise<Picture[]> {
  try {
    return await mapLimited(drawing.planned, CONCURRENCY_MAX, async (picture, index) => {
      const { items } = await drawing.begin(picture);
      for await (const item of items) {
        onItem(item, index);
        if (item.type === 'picture') return item;
      }
      throw new ServiceError('internal_error', { message: 'a job ended without a picture' });
    });
  } catch (error) {
    drawing.controller.abort(error);
    throw error;
  }
}

/** Warnings of the request and of its pictures, each once. */
export function mergeWarnings(plan: GenerationPlan, drawn: readonly Picture[]): Warning[] {
  const all = [...plan.warnings, ...drawn.flatMap(({ entry }) => entry.warnings)];
  const seen = new Set<string>();
  return all.filter(({ code, message }) => {
    const isNew = !seen.has(`${code} ${message}`);
    seen.add(`${code} ${message}`);
    return isNew;
  });
}

/** Fields of the log line of a request that draws. */
export function drawingFields(
  { plan, planned }: Drawing,
  outcomes: readonly CacheOutcome[],
): Record<string, unknown> {
  const { base } = plan;
  return {
    prompt_hash: planned[0]!.cacheKey,
    model: base.model,
    size: `${base.width}x${base.height}`,
    num_inference_steps: base.num_inference_steps,
    image_count: plan.count,
    cache: outcomes.join(','),
  };
}

/** Maps with at most `limit` at once, in order; the first failure is the failure of all. */
async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  map: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const at = next;
      next += 1;
      results[at] = await map(items[at]!, at);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work));
  return results;
}
