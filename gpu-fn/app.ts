/**
 * The function's routes: the Cog HTTP protocol, and four of our own (`/model`, `/metrics`, `/variants`, previews).
 *
 * Takes everything it needs as arguments, so tests bring their own engine. Framing and paths have been checked
 * by `http/request-guard.ts` when a request arrives here.
 */

import { createHash, randomUUID } from 'node:crypto';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS, MEDIA_TYPES, REQUEST_ID_PATTERN } from '#shared/headers.ts';
import { parseVariantQuery } from '#shared/variant.ts';
import { renderError, ValidationError } from './http/cog-error.ts';
import {
  checkPathId,
  type ParsedRequest,
  parsePredictionRequest,
} from './http/prediction-request.ts';
import { readBody } from './http/read-body.ts';
import { sendEvents } from './http/send-events.ts';
import type { SignatureVerifier } from './http/verify-signature.ts';
import type { VariantService } from './image/variant-service.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { buildOpenApi } from './openapi.ts';
import { type Prediction, StopReason } from './predictions/prediction.ts';
import type { PredictionService } from './predictions/prediction-service.ts';
import type { WebhookSender } from './predictions/webhooks.ts';
import type { Engine, EngineStatus } from './workers/engine.ts';

export interface AppDeps {
  readonly engine: Engine;
  readonly service: PredictionService;
  readonly variants: VariantService;
  readonly webhooks: WebhookSender;
  readonly metrics: Metrics;
  readonly log: Log;
  /** `undefined` accepts unsigned requests. */
  readonly verifier: SignatureVerifier | undefined;
  readonly limits: AppLimits;
  /** Called after `POST /shutdown` has been answered. */
  readonly onShutdown: () => void;
  readonly version: string;
}

export interface AppLimits {
  readonly bodyBytesMax: number;
  readonly bodyDeadlineMs: number;
  readonly writeStallMs: number;
  readonly heartbeatMs: number;
  readonly streamSubscribersMax: number;
}

interface Env {
  Bindings: HttpBindings;
  Variables: {
    requestId: string;
    body: Uint8Array<ArrayBuffer>;
    /** Set where the line of the prediction takes the place of the request's. */
    logged: boolean;
  };
}
type Handler = (c: Context<Env>) => Response | Promise<Response>;

const HEALTH: Record<EngineStatus, string> = {
  starting: 'STARTING',
  ready: 'READY',
  setup_failed: 'SETUP_FAILED',
  unhealthy: 'UNHEALTHY',
  defunct: 'DEFUNCT',
};

export function createApp(deps: AppDeps): Hono<Env> {
  const app = new Hono<Env>();
  const protect = [signedHead(deps), withBody(deps)] as const;
  const routes: [path: string, method: 'GET' | 'POST' | 'PUT', ...Handler[]][] = [
    ['/', 'GET', root(deps)],
    ['/health-check', 'GET', healthCheck(deps)],
    ['/openapi.json', 'GET', openApi(deps)],
    ['/model', 'GET', model(deps)],
    ['/metrics', 'GET', metrics(deps)],
    ['/predictions', 'POST', createPrediction(deps)],
    ['/predictions/:id', 'PUT', putPrediction(deps)],
    ['/predictions/:id/cancel', 'POST', cancelPrediction(deps)],
    ['/variants', 'POST', createVariant(deps)],
    ['/shutdown', 'POST', shutdown(deps)],
  ];
  app.use(observe(deps));
  for (const [path, method, handler] of routes) {
    if (method === 'GET') app.get(path, handler!);
    else app.on(method, path, ...protect, handler!);
    app.all(path, () => {
      throw new MethodError(method === 'GET' ? 'GET, HEAD' : method);
    });
  }
  app.notFound(() => {
    throw new ServiceError('not_found');
  });
  app.onError((error, c) => answerError(error, c, deps));
  return app;
}

/** 405: Cog names the method that the path has. */
class MethodError extends ServiceError {
  readonly allow: string;

  constructor(allow: string) {
    super('method_not_allowed', { detail: `Only ${allow} is allowed here.` });
    this.allow = allow;
  }
}

/** Request id, log line, duration: once for every request, whatever becomes of it. */
function observe({ log, metrics }: AppDeps): MiddlewareHandler<Env> {
  return async (c, next) => {
    const startedAt = performance.now();
    const offered = c.req.header(HEADERS.requestId) ?? '';
    const requestId = REQUEST_ID_PATTERN.test(offered) ? offered : randomUUID();
    c.set('requestId', requestId);
    for (const [name, value] of Object.entries(commonHeaders(requestId))) c.header(name, value);
    await next();
    const streamed = c.res === RESPONSE_ALREADY_SENT;
    const status = streamed ? c.env.outgoing.statusCode : c.res.status;
    const durationMs = performance.now() - startedAt;
    const route = routeOf(c);
    const { method } = c.req;
    metrics.httpSeconds.observe({ route, method, status: String(status) }, durationMs / 1000);
    if (c.get('logged')) return;
    const quiet = status < 400 && (route === '/health-check' || route === '/metrics');
    const fields = { request_id: requestId, method, route, status, duration_ms: round(durationMs) };
    if (quiet) log.debug('request.completed', fields);
    else if (status >= 500 && status !== 503) log.error('request.completed', fields);
    else log.info('request.completed', fields);
  };
}

/** Refuses what is not signed at all before its body is read. */
function signedHead({ verifier }: AppDeps): MiddlewareHandler<Env> {
  return async (c, next) => {
    verifier?.precheck((name) => c.req.header(name));
    await next();
  };
}

/** Reads the body within its bounds, and checks the signature over it. */
function withBody({ verifier, limits }: AppDeps): MiddlewareHandler<Env> {
  return async (c, next) => {
    const { incoming } = c.env;
    const body = await readBody(incoming, {
      bytesMax: limits.bodyBytesMax,
      deadlineMs: limits.bodyDeadlineMs,
    });
    await verify(c, body, verifier);
    c.set('body', body);
    await next();
  };
}

async function verify(
  c: Context<Env>,
  body: Uint8Array,
  verifier: SignatureVerifier | undefined,
): Promise<void> {
  const { incoming } = c.env;
  const request = { method: c.req.method, path: incoming.url ?? '/', body };
  await verifier?.verify(request, (name) => c.req.header(name));
}

function root({ version }: AppDeps): Handler {
  return (c) =>
    c.json({
      cog_version: version,
      docs_url: '/docs',
      openapi_url: '/openapi.json',
      shutdown_url: '/shutdown',
      healthcheck_url: '/health-check',
      predictions_url: '/predictions',
      predictions_idempotent_url: '/predictions/{prediction_id}',
      predictions_cancel_url: '/predictions/{prediction_id}/cancel',
    });
}

function healthCheck({ engine, service, version }: AppDeps): Handler {
  return (c) => {
    const { status, setup } = engine.health();
    const busy = status === 'ready' && service.isBusy;
    return c.json({
      status: busy ? 'BUSY' : HEALTH[status],
      setup: {
        started_at: setup.startedAt.toISOString(),
        ...(setup.completedAt && { completed_at: setup.completedAt.toISOString() }),
        status: setup.status,
        logs: setup.logs,
      },
      version: { coglet: version },
    });
  };
}

function openApi({ engine, version }: AppDeps): Handler {
  return (c) => {
    const { info } = engine;
    if (!info) return c.json({ error: 'OpenAPI schema not available' }, 503);
    return c.json(buildOpenApi({ info, version }));
  };
}

function model({ engine }: AppDeps): Handler {
  return (c) => {
    if (engine.info) return c.json(engine.info);
    throw new ServiceError('model_unavailable', { retryAfterMs: 2000 });
  };
}

/** Open on loopback, where a local scraper sits; from elsewhere with a signature, if there is a key. */
function metrics({ metrics: { registry }, verifier }: AppDeps): Handler {
  return async (c) => {
    const address = c.env.incoming.socket.remoteAddress ?? '';
    if (!/^(127\.|::1$|::ffff:127\.)/.test(address)) await verify(c, new Uint8Array(), verifier);
    return c.body(await registry.metrics(), 200, { 'Content-Type': registry.contentType });
  };
}

function createPrediction(deps: AppDeps): Handler {
  return (c) => {
    const request = parsePredictionRequest(c.get('body'), { header: headerOf(c) });
    if (request.id !== undefined && deps.service.get(request.id)) {
      const error = `Prediction ${request.id} is already running`;
      return c.json({ error, status: 'failed', code: 'overloaded' }, 409);
    }
    return startPrediction(c, deps, request);
  };
}

function putPrediction(deps: AppDeps): Handler {
  return (c) => {
    const pathId = checkPathId(c.req.param('id') ?? '');
    const request = parsePredictionRequest(c.get('body'), { header: headerOf(c), pathId });
    const running = deps.service.get(pathId);
    if (!running) return startPrediction(c, deps, request);
    if (request.wantsStream) return stream(c, deps, running, request.previewCount > 0);
    return c.json({ ...running.body(), input: running.input }, 202);
  };
}

function cancelPrediction({ service }: AppDeps): Handler {
  return (c) => c.json({}, service.cancel(c.req.param('id') ?? '') ? 200 : 404);
}

/** The body is a picture file, the query says what becomes of it, the answer is the file that it became. */
function createVariant({ variants, metrics }: AppDeps): Handler {
  return async (c) => {
    const variant = parseVariantQuery(new URL(c.req.url).searchParams);
    const left = new AbortController();
    const onClose = () => left.abort(new Error('the caller has left'));
    c.env.outgoing.once('close', onClose);
    try {
      const file = await variants.make(c.get('body'), variant, left.signal);
      metrics.variants.inc({ format: variant.format });
      return c.body(new Uint8Array(file), 200, {
        'Content-Type': MEDIA_TYPES[variant.format],
        'Content-Digest': `sha-256=:${createHash('sha256').update(file).digest('base64')}:`,
      });
    } finally {
      c.env.outgoing.off('close', onClose);
    }
  };
}

function shutdown({ onShutdown }: AppDeps): Handler {
  return (c) => {
    c.env.outgoing.once('close', onShutdown);
    return c.json({}, 200, { Connection: 'close' });
  };
}

async function startPrediction(
  c: Context<Env>,
  deps: AppDeps,
  request: ParsedRequest,
): Promise<Response> {
  const { wantsStream, wantsAsync, webhook } = request;
  const prediction = deps.service.create({
    id: request.id,
    input: request.input,
    mode: wantsStream ? 'stream' : wantsAsync ? 'async' : 'sync',
    previewCount: request.previewCount,
    requestId: c.get('requestId'),
  });
  if (webhook) deps.webhooks.follow(prediction, webhook);
  if (wantsAsync) return c.json({ id: prediction.id, status: prediction.status }, 202);
  c.set('logged', true);
  if (wantsStream) return stream(c, deps, prediction, request.previewCount > 0);
  return awaitPrediction(c, prediction);
}

/** Answers when the prediction has ended; a caller that leaves before takes it along. */
async function awaitPrediction(c: Context<Env>, prediction: Prediction): Promise<Response> {
  const { outgoing } = c.env;
  const onClose = () => prediction.stop(new StopReason('canceled', 'client disconnected'));
  outgoing.once('close', onClose);
  const body = await prediction.settled;
  outgoing.off('close', onClose);
  return c.json(body);
}

async function stream(
  c: Context<Env>,
  { limits, metrics: { subscribers, stalls }, log }: AppDeps,
  prediction: Prediction,
  withPreviews: boolean,
): Promise<Response> {
  using subscription = prediction.subscribe(limits.streamSubscribersMax);
  if (!subscription) throw new ServiceError('too_many_streams', { retryAfterMs: 1000 });
  subscribers.inc();
  const requestId = c.get('requestId');
  const outcome = await sendEvents(c.env.outgoing, {
    history: prediction.history,
    withPreviews,
    heartbeatMs: limits.heartbeatMs,
    stallMs: limits.writeStallMs,
    headers: commonHeaders(requestId),
  });
  subscribers.dec();
  if (outcome === 'stalled') stalls.inc();
  if (outcome !== 'completed') {
    log.info('stream.ended', { request_id: requestId, prediction_id: prediction.id, outcome });
  }
  return RESPONSE_ALREADY_SENT;
}

function answerError(error: Error, c: Context<Env>, { log, metrics }: AppDeps): Response {
  const known = error instanceof ServiceError || error instanceof ValidationError;
  const requestId = c.get('requestId');
  if (!known) log.error('request.failed', { request_id: requestId, route: routeOf(c) }, error);
  const rendered = renderError(known ? error : new ServiceError('internal_error'));
  metrics.refusals.inc({ code: rendered.code });
  const headers = {
    ...commonHeaders(requestId),
    ...rendered.headers,
    ...(error instanceof MethodError && { Allow: error.allow }),
    // What is left of a body that was not read would be taken for the next request.
    ...(!c.env.incoming.complete && { Connection: 'close' }),
  };
  return new Response(JSON.stringify(rendered.body), {
    status: rendered.status,
    headers: { ...headers, 'Content-Type': 'application/json' },
  });
}

function commonHeaders(requestId: string): Record<string, string> {
  return {
    [HEADERS.requestId]: requestId,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  };
}

function headerOf(c: Context<Env>): (name: string) => string | undefined {
  return (name) => c.req.header(name);
}

/** The pattern of the path, so that metrics and logs do not grow with ids. */
function routeOf(c: Context<Env>): string {
  const pattern = c.req.matchedRoutes.findLast(({ path }) => path !== '/*')?.path;
  return pattern ?? 'unknown';
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
