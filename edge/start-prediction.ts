/** From a checked `input` to a prediction that runs: what the routes of Replicate and fal share. */
import type { Context } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS } from '#shared/headers.ts';
import type { JsonObject } from '#shared/json.ts';
import { PARTIAL_IMAGES_MAX } from '#shared/limits.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import { accountOf } from './account-of.ts';
import {
  type AccountStub,
  type PredictionRecord,
  toPlainObject,
  type Webhook,
} from './account-protocol.ts';
import type { AppEnv, Deps } from './app-env.ts';
import { parseCacheWish } from './cache-wish.ts';
import { type Drawings, drawingFields } from './drawing.ts';
import { parseReplicateInput, underInput } from './replicate-input.ts';
import { publicOrigin } from './routes/public-origin.ts';

export interface PredictionWish {
  readonly model: ModelInfo;
  readonly input: JsonObject;
  /** What is echoed of it, where that is not what was sent here. */
  readonly echo?: JsonObject;
  readonly deployment: string | null;
  readonly webhook: Webhook | null;
  readonly cancelAfterMs: number | null;
  /** Whether anybody can read its stream: who waits for the answer learns of it too late. */
  readonly previews: boolean;
  /** What all chance comes out of, for a request that may be repeated. */
  readonly salt?: string | undefined;
}

export interface StartedPrediction {
  readonly account: AccountStub;
  readonly record: PredictionRecord;
}

const DATA_URI_SHOWN_MAX = 256;

/** @throws {ServiceError} when it is refused: then nothing was written and nothing is drawn */
export async function startPrediction(
  c: Context<AppEnv>,
  deps: Deps,
  drawings: Drawings,
  wish: PredictionWish,
): Promise<StartedPrediction> {
  const { caller, requestId, traceparent, times } = c.var;
  const { model, input, webhook } = wish;
  const { request, unknownNames } = parseReplicateInput(input, model);
  const plan = underInput(() => drawings.plan(request, { caller, unknownNames }));
  const cacheWish = parseCacheWish(c.req.header('Cache-Control'));
  if (cacheWish.noStore) {
    throw new ServiceError('invalid_header', {
      param: 'Cache-Control',
      detail: 'The pictures of a prediction are URLs, so no-store is impossible here.',
    });
  }
  // Without a seed each prediction is a new picture, which no cache holds.
  const isNew = typeof plan.seed !== 'number';
  if (isNew) drawings.refuseExhausted(caller);
  const drawing = await drawings.prepare(plan, {
    caller,
    wish: cacheWish,
    unknownNames,
    isNewEachTime: true,
    resumable: true,
    salt: wish.salt,
    wantsBytes: false,
    previews: wish.previews ? PARTIAL_IMAGES_MAX : 0,
    deadlineMs: Math.max(wish.cancelAfterMs ?? 0, deps.config.jobDeadlineMs),
    requestId,
    traceparent,
    waitUntil: (work) => c.executionCtx.waitUntil(work),
    onBudget: (view) => c.set('generations', view),
  });
  const { owner, account } = await accountOf(c, deps);
  const answer = await times.measure('queue', () =>
    account.createPrediction({
      model: model.id,
      version: model.revision,
      deployment: wish.deployment,
      input: toPlainObject(shorten(wish.echo ?? input)),
      warnings: plan.warnings,
      specs: drawing.planned.map(drawing.specOf),
      reload: cacheWish.reload,
      onlyIfCached: cacheWish.onlyIfCached,
      webhook,
      cancelAfterMs: wish.cancelAfterMs,
      origin: publicOrigin(c, deps),
      owner,
    }),
  );
  if (answer.budget !== null) {
    drawings.noteBudget(caller, answer.budget);
    c.set('generations', { limits: caller.limits, ...answer.budget });
  }
  if (answer.failure !== undefined) {
    const { code, detail, param, retryAfterMs } = answer.failure;
    throw new ServiceError(code, {
      detail,
      ...(param !== undefined && { param: `input.${param}` }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
  }
  const { record } = answer;
  c.set('logFields', { ...drawingFields(drawing, []), prediction_id: record.id });
  if (plan.warnings.length > 0) {
    const codes = new Set(plan.warnings.map(({ code }) => code));
    c.header(HEADERS.warning, [...codes].join(', '));
  }
  // A caller that left before it could hear of the prediction.
  if (c.req.raw.signal.aborted && webhook === null) await account.cancelPrediction(record.id);
  return { account, record };
}

/**
 * The prediction once it has ended, or as it is after `waitMs`. A caller that leaves before it has heard of the prediction cannot
 * ask for it: unless a webhook will tell it, the prediction is canceled.
 */
export async function waitForEnd(
  c: Context<AppEnv>,
  { account, record }: StartedPrediction,
  waitMs: number,
): Promise<PredictionRecord> {
  const { signal } = c.req.raw;
  const leave = () => {
    if (record.webhook === null) c.executionCtx.waitUntil(account.cancelPrediction(record.id));
  };
  if (signal.aborted) leave();
  else signal.addEventListener('abort', leave);
  try {
    return (await account.awaitPrediction(record.id, waitMs)) ?? record;
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

/** What is echoed of an input: pictures are not sent back. */
function shorten(input: JsonObject): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(input).map(([name, value]) => {
      const isPicture =
        typeof value === 'string' && value.startsWith('data:') && value.length > DATA_URI_SHOWN_MAX;
      if (!isPicture) return [name, value];
      return [name, `${value.slice(0, value.indexOf(',') + 1)}… (${value.length} characters)`];
    }),
  );
}
