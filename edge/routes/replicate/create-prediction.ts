/** `POST …/predictions`: of a version, a model or a deployment. */
import type { Context, Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS } from '#shared/headers.ts';
import type { JsonObject } from '#shared/json.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import {
  type PredictionRequest,
  predictionRequest,
  WEBHOOK_EVENTS,
} from '#shared/schemas/replicate.ts';
import { accountOf } from '../../account-of.ts';
import type { PredictionRecord, Webhook } from '../../account-protocol.ts';
import type { AppEnv, Deps } from '../../app-env.ts';
import type { Drawings } from '../../drawing.ts';
import type { NamedRequest } from '../../idempotency.ts';
import { findModel, findVersion } from '../../model-versions.ts';
import { checkOutboundUrl } from '../../outbound-url.ts';
import { parseRequest } from '../../parse-request.ts';
import { asStarting, toPredictionObject } from '../../prediction-object.ts';
import { parseCancelAfter, parsePrefer } from '../../prefer.ts';
import { readJsonBody } from '../../read-body.ts';
import { rawPath } from '../../request-path.ts';
import { startPrediction, waitForEnd } from '../../start-prediction.ts';
import { publicOrigin } from '../public-origin.ts';

/** What a path or a body says is to be drawn with. */
type Chosen = { readonly model: ModelInfo; readonly deployment: string | null };

/** `POST /v1/predictions`: the body names the version. */
export function createPrediction(deps: Deps, drawings: Drawings): Handler<AppEnv> {
  return (c) =>
    create(c, deps, drawings, async ({ version }) => {
      if (typeof version !== 'string') {
        throw new ServiceError('missing_parameter', {
          param: 'version',
          detail: 'version is required.',
        });
      }
      return { model: findVersion(deps.config.models, version), deployment: null };
    });
}

/** `POST /v1/models/{owner}/{name}/predictions` */
export function createModelPrediction(deps: Deps, drawings: Drawings): Handler<AppEnv> {
  return (c) => {
    const id = `${c.req.param('owner')}/${c.req.param('name')}`;
    return create(c, deps, drawings, async () => ({
      model: findModel(deps.config.models, id),
      deployment: null,
    }));
  };
}

/** `POST /v1/deployments/{owner}/{name}/predictions` */
export function createDeploymentPrediction(deps: Deps, drawings: Drawings): Handler<AppEnv> {
  return (c) =>
    create(c, deps, drawings, async () => {
      const [owner, name = ''] = [c.req.param('owner'), c.req.param('name')];
      const { account } = await accountOf(c, deps);
      const record = owner === c.var.caller.account ? await account.getDeployment(name) : null;
      if (record === null) {
        throw new ServiceError('not_found', { detail: 'There is no such deployment.' });
      }
      const model = findVersion(deps.config.models, record.model);
      return { model, deployment: `${owner}/${name}` };
    });
}

async function create(
  c: Context<AppEnv>,
  deps: Deps,
  drawings: Drawings,
  choose: (request: PredictionRequest) => Promise<Chosen>,
): Promise<Response> {
  const { config } = deps;
  const { waitMs, respondAsync } = parsePrefer(c.req.header(HEADERS.prefer));
  const cancelAfterMs = parseCancelAfter(c.req.header(HEADERS.cancelAfter));
  const body = await readJsonBody(c.req.raw, {
    bytesMax: c.var.route?.bodyBytesMax ?? 0,
    deadlineMs: config.bodyDeadlineMs,
  });
  const request = parseRequest(predictionRequest, body);
  const { model, deployment } = await choose(request);
  const waits = waitMs > 0 && !respondAsync;
  const webhook = toWebhook(c, deps, request);
  const input = body.input as JsonObject;
  const named: NamedRequest = {
    caller: c.var.caller,
    request: c.req.raw,
    path: rawPath(c.req.url),
    body,
    isStream: false,
    keeps: true,
    isRandom: input.seed == null,
    deadlineMs: config.jobDeadlineMs,
    waitUntil: (work) => c.executionCtx.waitUntil(work),
  };
  return deps.idempotency.run(named, async ({ salt }) => {
    const wish = { model, deployment, input, webhook, cancelAfterMs, previews: !waits, salt };
    const started = await startPrediction(c, deps, drawings, wish);
    const record = waits ? await waitForEnd(c, started, waitMs) : started.record;
    return answer(c, record, { waits, respondAsync });
  });
}

function answer(
  c: Context<AppEnv>,
  record: PredictionRecord,
  { waits, respondAsync }: { readonly waits: boolean; readonly respondAsync: boolean },
): Response {
  const isOver = record.completedMs !== null;
  if (respondAsync) c.header(HEADERS.preferenceApplied, 'respond-async');
  else if (waits && isOver) c.header(HEADERS.preferenceApplied, 'wait');
  const body = asStarting(record);
  c.header('Location', toPredictionObject(record).urls.get);
  c.header('Cache-Control', 'no-store');
  return c.json(body, (waits || respondAsync) && !isOver ? 202 : 201);
}

function toWebhook(
  c: Context<AppEnv>,
  deps: Deps,
  { webhook, webhook_events_filter: events }: PredictionRequest,
): Webhook | null {
  if (typeof webhook !== 'string') return null;
  const url = checkOutboundUrl(webhook, {
    param: 'webhook',
    targets: deps.config.webhookTargets,
    ownOrigin: publicOrigin(c, deps),
  });
  return { url, events: [...new Set(events ?? WEBHOOK_EVENTS)], form: 'replicate' };
}
