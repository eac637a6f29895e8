/** `POST /v1/images/generations`: OpenAI's shape, as JSON or as a stream of events. */
import type { Context, Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS, MEDIA_TYPES } from '#shared/headers.ts';
import { IDEMPOTENCY_KEY_LENGTH_MAX } from '#shared/limits.ts';
import type { CompletedEvent, PartialImageEvent } from '#shared/schemas/event.ts';
import { generateRequest } from '#shared/schemas/generate.ts';
import { FILE_EXTENSIONS, type ImagesResponse, type Usage } from '#shared/schemas/image.ts';
import type { Warning } from '#shared/schemas/problem.ts';
import { encodeSseComment, encodeSseEvent } from '#shared/sse.ts';
import type { AppEnv, Deps } from '../app-env.ts';
import { cacheStatus } from '../cache-status.ts';
import {
  findUnknownNames,
  type GenerationPlan,
  listPictures,
  type Picture as PlannedPicture,
  planGeneration,
  toPredictionInput,
} from '../generation.ts';
import type { JobSpec, Timings } from '../job-protocol.ts';
import { Lru } from '../lru.ts';
import { parseRequest } from '../parse-request.ts';
import {
  type BegunPicture,
  type CacheWish,
  type Picture,
  type PictureRequest,
  Pictures,
} from '../pictures.ts';
import { readJsonBody } from '../read-body.ts';
import { toErrorEvent, toServiceError } from '../render-error.ts';
import { type BucketState, type BucketView, viewBucket } from '../token-bucket.ts';

/** Pictures of one JSON answer that are drawn at the same time: half of the function's queue. */
const CONCURRENCY_MAX = 4;
const BUDGETS_MAX = 10_000;

/** One request on its way through this route. */
interface Task {
  readonly plan: GenerationPlan;
  readonly planned: readonly PlannedPicture[];
  readonly c: Context<AppEnv>;
  /** Aborted when the caller has left or one picture of several has failed. */
  readonly controller: AbortController;
  readonly begin: (picture: PlannedPicture) => Promise<BegunPicture>;
}

export function generations(deps: Deps): Handler<AppEnv> {
  const { config } = deps;
  const pictures = new Pictures({ images: deps.images, jobs: deps.jobs });
  /** What this isolate last heard of each key's budget, for answers that ask nobody. */
  const budgets = new Lru<BucketState>({ countMax: BUDGETS_MAX });

  return async (c) => {
    const { caller, times, route } = c.var;
    const body = await readJsonBody(c.req.raw, {
      bytesMax: route?.bodyBytesMax ?? 0,
      deadlineMs: config.bodyDeadlineMs,
    });
    const request = parseRequest(generateRequest, body);
    const plan = planGeneration(request, {
      config,
      account: caller.account,
      unknownNames: findUnknownNames(body),
    });
    const wish = parseCacheWish(c.req.header('Cache-Control'));
    if (wish.noStore && plan.responseFormat === 'url') {
      throw new ServiceError('invalid_parameter', {
        detail: 'A picture that must not be stored has no URL; ask for b64_json.',
        param: 'response_format',
      });
    }
    const resumable = checkIdempotencyKey(c.req.header(HEADERS.idempotencyKey));
    const drawsAgain = wish.reload || wish.noStore;
    const planned = await listPictures(plan, {
      randomSeed: drawsAgain ? deps.randomSeed : undefined,
    });

    const { keyId, limits } = caller;
    const known = budgets.get(keyId);
    if (known !== undefined) {
      c.set('generations', { limits, ...viewBucket(known, limits, deps.now()) });
    }
    const onBudget = (view: BucketView) => {
      budgets.set(keyId, { tokens: view.remaining, atMs: deps.now() });
      c.set('generations', { limits, ...view });
    };

    const controller = new AbortController();
    const begin = (picture: PlannedPicture) => {
      const spec: JobSpec = {
        cacheKey: picture.cacheKey,
        input: toPredictionInput(plan, picture),
        revision: plan.model.revision,
        previews: plan.stream ? plan.partialImages : 0,
        deadlineMs: config.jobDeadlineMs,
        store: !wish.noStore,
        resumable,
        keyId,
        limits,
        requestId: c.var.requestId,
        traceparent: c.var.traceparent,
      };
      const request: PictureRequest = {
        spec,
        wish,
        wantsBytes: plan.responseFormat === 'b64_json' || plan.stream,
        signal: controller.signal,
        waitUntil: (work) => c.executionCtx.waitUntil(work),
        onBudget,
        onLookUp: (work) => times.measure('cache', work),
      };
      return pictures.begin(request);
    };
    const task: Task = { plan, planned, c, controller, begin };
    return plan.stream ? answerStream(task, deps) : answerJson(task, deps);
  };
}

async function answerJson(task: Task, deps: Deps): Promise<Response> {
  const { c, plan, planned, controller } = task;
  const { signal } = c.req.raw;
  const leave = () => controller.abort(new Error('the caller has left'));
  if (signal.aborted) leave();
  else signal.addEventListener('abort', leave);
  let drawn: Picture[];
  try {
    drawn = await mapLimited(planned, CONCURRENCY_MAX, async (picture) => {
      const { items } = await task.begin(picture);
      for await (const item of items) if (item.type === 'picture') return item;
      throw new ServiceError('internal_error', { message: 'a job ended without a picture' });
    });
  } catch (error) {
    // One picture is missing, so the others are of no use to this caller.
    controller.abort(error);
    throw error;
  } finally {
    signal.removeEventListener('abort', leave);
  }
  const first = drawn[0]!;
  for (const [stage, ms] of Object.entries(first.timings)) {
    c.var.times.set(stage as keyof Timings, ms);
  }
  const warnings = mergeWarnings(plan, drawn);
  const body: ImagesResponse = {
    created: Math.floor(first.entry.createdMs / 1000),
    data: drawn.map((picture) => ({
      ...(plan.responseFormat === 'url'
        ? { url: urlOf(picture, task, deps) }
        : { b64_json: picture.base64 }),
      seed: picture.entry.seed,
      id: picture.entry.digest,
      cache: picture.outcome,
    })),
    ...describePlan(plan),
    model: plan.model.id,
    num_inference_steps: plan.base.num_inference_steps,
    safety_identifier: plan.safetyIdentifier,
    usage: usageOf(plan, drawn),
    warnings,
  };
  const outcomes = drawn.map(({ outcome }) => outcome);
  c.set('logFields', logFields(task, outcomes));
  return new Response(JSON.stringify(body), {
    headers: {
      'Content-Type': MEDIA_TYPES.json,
      'Cache-Control': 'no-store',
      [HEADERS.cacheStatus]: cacheStatus(outcomes, planned[0]!.cacheKey),
      ...warningHeader(warnings),
    },
  });
}

async function answerStream(task: Task, deps: Deps): Promise<Response> {
  const { c, plan, planned, controller } = task;
  // What is refused before the first byte is refused with a status.
  const first = await task.begin(planned[0]!);
  c.set('logFields', { ...logFields(task, [first.outcome]), stream: true });
  return new Response(toByteStream(streamFrames(task, first, deps), controller), {
    headers: {
      'Content-Type': `${MEDIA_TYPES.eventStream}; charset=utf-8`,
      'Cache-Control': 'no-store, no-transform',
      'X-Accel-Buffering': 'no',
      [HEADERS.cacheStatus]: cacheStatus([first.outcome], planned[0]!.cacheKey),
      ...warningHeader(plan.warnings),
    },
  });
}

/** Records of the stream: for each picture its previews and `completed`; or one `error`, and nothing after it. */
async function* streamFrames(
  task: Task,
  first: BegunPicture,
  deps: Deps,
): AsyncGenerator<string, void, undefined> {
  const { c, plan, planned, controller } = task;
  const { requestId, times } = c.var;
  let completed = 0;
  let code: string | undefined;
  try {
    // Sends the head on its way, and from then on a departed caller is noticed.
    yield encodeSseComment('accepted');
    for (const { index } of planned) {
      const begun = index === 0 ? first : await task.begin(planned[index]!);
      let partials = 0;
      for await (const item of begun.items) {
        if (item.type === 'heartbeat') yield encodeSseComment('keep-alive');
        else if (item.type === 'picture') {
          completed += 1;
          yield toRecord(toCompletedEvent(item, index, task, deps));
        } else if (partials < plan.partialImages) {
          yield toRecord(toPartialEvent(item, { index, partial: partials, plan, deps }));
          partials += 1;
        }
      }
    }
  } catch (error) {
    if (controller.signal.aborted) {
      code = 'client_closed';
      return;
    }
    const known = toServiceError(error);
    code = known.code;
    if (known.status >= 500) {
      deps.log.error('stream.failed', { request_id: requestId, code }, known);
    }
    yield encodeSseEvent({ event: 'error', data: JSON.stringify(toErrorEvent(known, requestId)) });
  } finally {
    if (code === undefined && completed < planned.length) code = 'client_closed';
    deps.log.info('stream.completed', {
      request_id: requestId,
      pictures: completed,
      ...(code !== undefined && { code }),
      total_ms: times.totalMs,
    });
  }
}

function toRecord(event: CompletedEvent | PartialImageEvent): string {
  return encodeSseEvent({ event: event.type, data: JSON.stringify(event) });
}

function toPartialEvent(
  preview: { readonly step: number; readonly steps: number; readonly image: string },
  at: {
    readonly index: number;
    readonly partial: number;
    readonly plan: GenerationPlan;
    readonly deps: Deps;
  },
): PartialImageEvent {
  const [head = '', base64 = ''] = preview.image.split(',', 2);
  const format = /^data:image\/(png|jpeg|webp);/.exec(head)?.[1];
  return {
    type: 'image_generation.partial_image',
    b64_json: base64,
    created_at: Math.floor(at.deps.now() / 1000),
    ...describePlan(at.plan),
    // Of the preview's own file, which need not be that of the picture.
    ...(format !== undefined && { output_format: format as 'png' | 'jpeg' | 'webp' }),
    index: at.index,
    partial_image_index: at.partial,
    step: preview.step,
    steps: preview.steps,
  };
}

function toCompletedEvent(picture: Picture, index: number, task: Task, deps: Deps): CompletedEvent {
  const { plan, c } = task;
  const { entry, outcome, timings } = picture;
  return {
    type: 'image_generation.completed',
    b64_json: picture.base64,
    created_at: Math.floor(entry.createdMs / 1000),
    ...describePlan(plan),
    usage: usageOf(plan, [picture]),
    safety_identifier: plan.safetyIdentifier,
    ...(c.req.header('Cache-Control')?.includes('no-store')
      ? {}
      : { url: urlOf(picture, task, deps) }),
    index,
    id: entry.digest,
    seed: entry.seed,
    cache: outcome,
    warnings: mergeWarnings(plan, [picture]),
    timings: { ...timings, ...c.var.times.toObject() },
  };
}

function describePlan({ base, quality }: GenerationPlan) {
  return {
    background: base.background,
    output_format: base.output_format,
    quality,
    size: `${base.width}x${base.height}`,
  };
}

function urlOf({ entry }: Picture, { c }: Task, { config }: Deps): string {
  const origin = config.publicOrigin ?? new URL(c.req.url).origin;
  return `${origin}/i/${entry.digest}.${FILE_EXTENSIONS[entry.format]}`;
}

/** Text tokens that the encoder used, and patches of 16 × 16 pixels that the transformer drew. */
function usageOf({ model, base }: GenerationPlan, drawn: readonly Picture[]): Usage {
  const text = drawn.reduce((sum, { entry }) => sum + entry.promptTokens, 0);
  const isNative =
    model.sizes !== 'bins' && model.sizes.some(([w, h]) => w === base.width && h === base.height);
  const [width, height] = isNative ? [base.width, base.height] : model.native_size;
  const image = Math.ceil(width / 16) * Math.ceil(height / 16) * drawn.length;
  return {
    input_tokens: text,
    input_tokens_details: { image_tokens: 0, text_tokens: text },
    output_tokens: image,
    output_tokens_details: { image_tokens: image, text_tokens: 0 },
    total_tokens: text + image,
  };
}

function mergeWarnings(plan: GenerationPlan, drawn: readonly Picture[]): Warning[] {
  const all = [...plan.warnings, ...drawn.flatMap(({ entry }) => entry.warnings)];
  const seen = new Set<string>();
  return all.filter(({ code, message }) => {
    const isNew = !seen.has(`${code} ${message}`);
    seen.add(`${code} ${message}`);
    return isNew;
  });
}

function warningHeader(warnings: readonly Warning[]): Record<string, string> {
  const codes = [...new Set(warnings.map(({ code }) => code))];
  return codes.length > 0 ? { [HEADERS.warning]: codes.join(', ') } : {};
}

function logFields({ plan, planned }: Task, outcomes: readonly string[]) {
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

function parseCacheWish(header: string | undefined): CacheWish {
  const directives = new Set(
    (header ?? '')
      .toLowerCase()
      .split(',')
      .map((part) => part.trim()),
  );
  return {
    reload: directives.has('no-cache'),
    noStore: directives.has('no-store'),
    onlyIfCached: directives.has('only-if-cached'),
  };
}

/** Whether the caller can come back to this request: it has given it a name. */
function checkIdempotencyKey(header: string | undefined): boolean {
  if (header === undefined) return false;
  const key = /^"(.*)"$/.exec(header)?.[1] ?? header;
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > IDEMPOTENCY_KEY_LENGTH_MAX) {
    throw new ServiceError('invalid_idempotency_key', {
      detail: `An idempotency key has 1 to ${IDEMPOTENCY_KEY_LENGTH_MAX} visible ASCII characters.`,
    });
  }
  return true;
}

/** Maps with at most `limit` at once, in order; the first failure is the failure of all. */
async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  map: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const at = next;
      next += 1;
      results[at] = await map(items[at]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work));
  return results;
}

/** A stream that is filled as it is read; leaving it stops the work behind it. */
function toByteStream(
  frames: AsyncGenerator<string, void, undefined>,
  controller: AbortController,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    pull: async (out) => {
      const { done, value } = await frames.next();
      if (done) out.close();
      else out.enqueue(encoder.encode(value));
    },
    cancel: async () => {
      controller.abort(new Error('the caller has left'));
      await frames.return();
    },
  });
}
