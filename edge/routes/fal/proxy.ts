/** `ALL /fal/proxy`: what `@fal-ai/client` would ask of fal, answered here by predictions. */
import type { Context, Handler } from 'hono';
import { encodeBase64 } from '#shared/base64.ts';
import { ServiceError } from '#shared/errors.ts';
import { accountOf } from '../../account-of.ts';
import type { OutputFile, PredictionRecord, Webhook } from '../../account-protocol.ts';
import type { AppEnv, Deps } from '../../app-env.ts';
import type { Drawings } from '../../drawing.ts';
import { parseFalInput, underFalInput } from '../../fal-input.ts';
import { toFalResult } from '../../fal-result.ts';
import { FAL_TARGET_HEADER, type FalTarget, parseFalTarget } from '../../fal-target.ts';
import { mediaTypeOf } from '../../media-types.ts';
import { findModel } from '../../model-versions.ts';
import { checkOutboundUrl } from '../../outbound-url.ts';
import { readJsonBody } from '../../read-body.ts';
import { type StartedPrediction, startPrediction, waitForEnd } from '../../start-prediction.ts';
import { publicOrigin } from '../public-origin.ts';
import { resultStream, statusStream } from './event-stream.ts';
import { toStatus } from './status.ts';

interface Submitted {
  readonly app: string;
  readonly webhook?: string | null;
  readonly previews: boolean;
}

type Started = StartedPrediction & { readonly syncMode: boolean };

const REQUEST_ID = 'x-fal-request-id';
const TIMEOUT = 'x-fal-request-timeout';

export function falProxy(deps: Deps, drawings: Drawings): Handler<AppEnv> {
  return async (c) => {
    const target = parseFalTarget(c.req.header(FAL_TARGET_HEADER), c.req.method);
    c.header('Cache-Control', 'no-store');
    switch (target.kind) {
      case 'run': {
        const started = await start(c, deps, drawings, { app: target.app, previews: false });
        const record = await waitForEnd(c, started, deps.config.jobDeadlineMs);
        return respond(c, deps, record, started.syncMode);
      }
      case 'stream': {
        const started = await start(c, deps, drawings, { app: target.app, previews: true });
        c.header(REQUEST_ID, started.record.id);
        return resultStream(c, deps, started.record);
      }
      case 'submit': {
        const { record } = await start(c, deps, drawings, { ...target, previews: true });
        c.header(REQUEST_ID, record.id);
        const base = `https://queue.fal.run/${target.app}/requests/${record.id}`;
        return c.json({
          request_id: record.id,
          status: 'IN_QUEUE',
          queue_position: 0,
          response_url: base,
          status_url: `${base}/status`,
          cancel_url: `${base}/cancel`,
        });
      }
      default:
        return answerRequest(c, deps, target);
    }
  };
}

async function answerRequest(
  c: Context<AppEnv>,
  deps: Deps,
  target: Extract<FalTarget, { id: string }>,
): Promise<Response> {
  const { account } = await accountOf(c, deps);
  const record = await account.getPrediction(target.id);
  if (record === null) throw new ServiceError('not_found', { detail: 'There is no such request.' });
  c.header(REQUEST_ID, record.id);
  switch (target.kind) {
    case 'status':
      return c.json(toStatus(record, target.logs), record.completedMs === null ? 202 : 200);
    case 'status-stream':
      return statusStream(c, deps, { record, logs: target.logs });
    case 'cancel': {
      if (record.completedMs !== null) {
        return c.json({ status: 'ALREADY_COMPLETED', detail: 'It has ended already.' }, 400);
      }
      await account.cancelPrediction(record.id);
      return c.json({ status: 'CANCELLATION_REQUESTED' }, 202);
    }
    case 'result':
      if (record.completedMs === null) {
        return c.json(
          { detail: 'Request is still in progress', message: 'Still in progress' },
          400,
        );
      }
      return respond(c, deps, record, record.input.sync_mode === true);
  }
}

async function start(
  c: Context<AppEnv>,
  deps: Deps,
  drawings: Drawings,
  { app, webhook = null, previews }: Submitted,
): Promise<Started> {
  const model = findModel(deps.config.models, app);
  const body = await readJsonBody(c.req.raw, {
    bytesMax: c.var.route?.bodyBytesMax ?? 0,
    deadlineMs: deps.config.bodyDeadlineMs,
  });
  const { input, syncMode } = parseFalInput(body);
  const started = await underFalInput(() =>
    startPrediction(c, deps, drawings, {
      model,
      input,
      deployment: null,
      webhook: webhook === null ? null : toWebhook(c, deps, webhook),
      cancelAfterMs: parseTimeout(c.req.header(TIMEOUT), deps),
      previews,
      ...(syncMode && { echo: { ...input, sync_mode: true } }),
    }),
  );
  return { ...started, syncMode };
}

function toWebhook(c: Context<AppEnv>, deps: Deps, text: string): Webhook {
  const url = checkOutboundUrl(text, {
    param: 'fal_webhook',
    targets: deps.config.webhookTargets,
    ownOrigin: publicOrigin(c, deps),
  });
  return { url, events: ['completed'], form: 'fal' };
}

/** Seconds of `x-fal-request-timeout`, bounded by the time for one job; null when absent or not a number. */
function parseTimeout(header: string | undefined, { config }: Deps): number | null {
  const seconds = Number(header ?? Number.NaN);
  return seconds > 0 ? Math.min(seconds * 1000, config.jobDeadlineMs) : null;
}

/** The result, or why there is none. */
async function respond(
  c: Context<AppEnv>,
  deps: Deps,
  record: PredictionRecord,
  syncMode: boolean,
): Promise<Response> {
  c.header(REQUEST_ID, record.id);
  if (record.status === 'failed') {
    throw new ServiceError(record.code ?? 'internal_error', {
      ...(record.error !== null && { detail: record.error }),
      retryAfterMs: 1000,
    });
  }
  if (record.status !== 'succeeded') {
    const isLate = record.deadlineMs !== null && (record.completedMs ?? 0) >= record.deadlineMs;
    if (!isLate) return c.json({ detail: 'Request was canceled', message: 'Canceled' }, 400);
    c.header('x-fal-request-timeout-type', 'user');
    throw new ServiceError('deadline_exceeded');
  }
  if (!syncMode) return c.json(toFalResult(record));
  const uris = new Map<OutputFile, string>();
  for (const file of record.output ?? []) {
    uris.set(file, await readDataUri(c, deps, file));
  }
  return c.json(toFalResult(record, (file) => uris.get(file)!));
}

async function readDataUri(c: Context<AppEnv>, deps: Deps, file: OutputFile): Promise<string> {
  const image = await deps.images.readImage({ digest: file.digest }, (work) =>
    c.executionCtx.waitUntil(work),
  );
  if (image === undefined) {
    throw new ServiceError('not_found', { detail: 'The picture is not there any more.' });
  }
  return `data:${mediaTypeOf(file.format)};base64,${encodeBase64(image.bytes)}`;
}
