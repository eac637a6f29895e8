/** Pictures in OpenAI's shape, as one JSON answer or as a stream of events: for the routes under `/v1/images/`. */
import type { Context } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS, MEDIA_TYPES } from '#shared/headers.ts';
import type { CompletedEvent, PartialImageEvent } from '#shared/schemas/event.ts';
import type { ImagesResponse, Usage } from '#shared/schemas/image.ts';
import type { Warning } from '#shared/schemas/problem.ts';
import { encodeSseComment, encodeSseEvent } from '#shared/sse.ts';
import type { AppEnv, Deps } from '../app-env.ts';
import { toByteStream } from '../byte-stream.ts';
import { cacheStatus } from '../cache-status.ts';
import { type Drawing, drawAll, drawingFields, mergeWarnings } from '../drawing.ts';
import type { GenerationPlan } from '../generation.ts';
import type { Timings } from '../job-protocol.ts';
import { pictureUrl } from '../picture-url.ts';
import type { BegunPicture, Picture } from '../pictures.ts';
import { toErrorEvent, toServiceError } from '../render-error.ts';

type AnswerDeps = Pick<Deps, 'config' | 'log' | 'now' | 'streams'>;

/** A drawing and the request that it answers. */
interface Task extends Drawing {
  readonly c: Context<AppEnv>;
}

export function answerPictures(
  drawing: Drawing,
  c: Context<AppEnv>,
  deps: AnswerDeps,
): Promise<Response> {
  const task: Task = { ...drawing, c };
  return drawing.plan.stream ? answerStream(task, deps) : answerJson(task, deps);
}

async function answerJson(task: Task, deps: AnswerDeps): Promise<Response> {
  const { c, plan, planned, controller } = task;
  const { signal } = c.req.raw;
  const leave = () => controller.abort(new Error('the caller has left'));
  if (signal.aborted) leave();
  else signal.addEventListener('abort', leave);
  let drawn: Picture[];
  try {
    drawn = await drawAll(task);
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
    data: await Promise.all(
      drawn.map(async (picture) => ({
        ...(plan.responseFormat === 'url'
          ? { url: await urlOf(picture, task, deps) }
          : { b64_json: picture.base64 }),
        seed: picture.entry.seed,
        id: picture.entry.digest,
        cache: picture.outcome,
      })),
    ),
    ...describePlan(plan),
    model: plan.model.id,
    num_inference_steps: plan.base.num_inference_steps,
    safety_identifier: plan.safetyIdentifier,
    usage: usageOf(plan, drawn),
    warnings,
  };
  const outcomes = drawn.map(({ outcome }) => outcome);
  c.set('logFields', drawingFields(task, outcomes));
  return new Response(JSON.stringify(body), {
    headers: {
      'Content-Type': MEDIA_TYPES.json,
      'Cache-Control': 'no-store',
      [HEADERS.cacheStatus]: cacheStatus(outcomes, planned[0]!.cacheKey),
      ...warningHeader(warnings),
    },
  });
}

async function answerStream(task: Task, deps: AnswerDeps): Promise<Response> {
  const { c, plan, planned, controller } = task;
  const place = deps.streams.place(c.var.caller, {
    onOver: (error) => controller.abort(error),
    waitUntil: (work) => c.executionCtx.waitUntil(work),
  });
  const placed: Task = { ...task, begin: (picture) => task.begin(picture, place.take) };
  let first: BegunPicture;
  try {
    // What is refused before the first byte is refused with a status.
    first = await placed.begin(planned[0]!);
  } catch (error) {
    place.release();
    throw error;
  }
  c.set('logFields', { ...drawingFields(task, [first.outcome]), stream: true });
  const frames = streamFrames(placed, first, deps, place.release);
  return new Response(
    toByteStream(frames, () => controller.abort(new Error('the caller has left'))),
    {
      headers: {
        'Content-Type': `${MEDIA_TYPES.eventStream}; charset=utf-8`,
        'Cache-Control': 'no-store, no-transform',
        'X-Accel-Buffering': 'no',
        [HEADERS.cacheStatus]: cacheStatus([first.outcome], planned[0]!.cacheKey),
        ...warningHeader(plan.warnings),
      },
    },
  );
}

/** Records of the stream: for each picture its previews and `completed`; or one `error`, and nothing after it. */
async function* streamFrames(
  task: Task,
  first: BegunPicture,
  deps: AnswerDeps,
  onEnd: () => void,
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
          yield toRecord(await toCompletedEvent(item, index, task, deps));
        } else if (item.type === 'preview' && partials < plan.partialImages) {
          yield toRecord(toPartialEvent(item, { index, partial: partials, plan, deps }));
          partials += 1;
        }
      }
    }
  } catch (error) {
    // Aborted by us for a reason that the caller has to hear, or by a caller who has left.
    if (controller.signal.aborted && !(controller.signal.reason instanceof ServiceError)) {
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
    onEnd();
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
    readonly deps: AnswerDeps;
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

async function toCompletedEvent(
  picture: Picture,
  index: number,
  task: Task,
  deps: AnswerDeps,
): Promise<CompletedEvent> {
  const { plan, c } = task;
  const isStored = !c.req.header('Cache-Control')?.includes('no-store');
  const url = isStored ? await urlOf(picture, task, deps) : undefined;
  const { entry, outcome, timings } = picture;
  return {
    type: 'image_generation.completed',
    b64_json: picture.base64,
    created_at: Math.floor(entry.createdMs / 1000),
    ...describePlan(plan),
    usage: usageOf(plan, [picture]),
    safety_identifier: plan.safetyIdentifier,
    ...(url !== undefined && { url }),
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

function urlOf({ entry }: Picture, { c }: Task, { config, now }: AnswerDeps) {
  return pictureUrl(entry, { config, requestUrl: c.req.url, nowMs: now() });
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

function warningHeader(warnings: readonly Warning[]): Record<string, string> {
  const codes = [...new Set(warnings.map(({ code }) => code))];
  return codes.length > 0 ? { [HEADERS.warning]: codes.join(', ') } : {};
}
