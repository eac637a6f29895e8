/**
 * The HTTP server around the app: bounds of the transport, refusal of ambiguous requests, and the drain.
 *
 * `createFunction` puts all parts together around an engine; `main.ts` brings worker threads, tests bring theirs.
 */

import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS } from '#shared/headers.ts';
import { HEADER_BYTES_MAX } from '#shared/limits.ts';
import { parseSigningKeys } from '#shared/signature.ts';
import { createApp } from './app.ts';
import type { Config } from './config.ts';
import { renderError } from './http/cog-error.ts';
import { guardRequest } from './http/request-guard.ts';
import { createSignatureVerifier } from './http/verify-signature.ts';
import { VariantService } from './image/variant-service.ts';
import type { Log } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { PredictionService, storeAsDataUri } from './predictions/prediction-service.ts';
import { createUploader } from './predictions/upload-picture.ts';
import { WebhookSender } from './predictions/webhooks.ts';
import { JobQueue } from './queue.ts';
import type { Engine } from './workers/engine.ts';

/** What the function reports as its version, beside Cog's own names. */
export const VERSION = 'pixart-edge/0.1.0';

/** Idle connections are kept for the edge's next request. */
const KEEP_ALIVE_MS = 30_000;
const HEADERS_DEADLINE_MS = 10_000;
const CHECK_INTERVAL_MS = 1000;

export interface FunctionDeps {
  readonly config: Config;
  readonly engine: Engine;
  readonly log: Log;
  readonly onShutdown?: () => void;
  /** milliseconds since 1970, for signatures */
  readonly now?: () => number;
  readonly random?: () => number;
  readonly fetch?: typeof fetch;
}

export interface GpuFunction {
  readonly server: Server;
  readonly service: PredictionService;
  readonly metrics: Metrics;
  /** @returns the port that was bound */
  listen(): Promise<number>;
  /** Stops accepting, lets predictions and answers finish within the bound, closes every connection. */
  drain(): Promise<void>;
}

/** @throws {RangeError} when the signing key is malformed or too short */
export function createFunction(deps: FunctionDeps): GpuFunction {
  const { config, engine, log } = deps;
  const queue = new JobQueue({
    slotCount: engine.slotCount,
    queueDepthMax: config.queueDepthMax,
  });
  const metrics = createMetrics({
    queueDepth: () => queue.depth,
    runningCount: () => queue.runningCount,
  });
  const send = deps.fetch ? { fetch: deps.fetch } : {};
  const service = new PredictionService({
    engine,
    queue,
    metrics,
    log,
    jobDeadlineMs: config.jobDeadlineMs,
    historyMax: config.streamHistoryMax,
    storePicture: config.uploadUrl
      ? createUploader({ uploadUrl: config.uploadUrl, ...send })
      : storeAsDataUri,
    ...(deps.random && { random: deps.random }),
  });
  const webhooks = new WebhookSender({
    log,
    metrics,
    authToken: config.webhookAuthToken,
    throttleMs: config.webhookThrottleMs,
    ...send,
  });
  const verifier = config.signingKey
    ? createSignatureVerifier({
        keys: parseSigningKeys(config.signingKey),
        ...(deps.now && { now: deps.now }),
      })
    : undefined;
  const app = createApp({
    engine,
    service,
    variants: new VariantService({
      slotCount: config.variantsAtOnce,
      queueDepthMax: config.variantQueueDepthMax,
      deadlineMs: config.variantDeadlineMs,
    }),
    webhooks,
    metrics,
    log,
    verifier,
    limits: config,
    onShutdown: deps.onShutdown ?? (() => undefined),
    version: VERSION,
  });
  const server = createHttpServer({
    config,
    metrics,
    handle: getRequestListener(app.fetch, { overrideGlobalObjects: false }),
  });
  return {
    server,
    service,
    metrics,
    listen: () => listen(server, config),
    drain: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const deadlineMs = config.drainDeadlineMs;
      await service.drain({ deadlineMs });
      await webhooks.drain({ deadlineMs: Math.min(deadlineMs, 5000) });
      // Readers of the last answers get the time that any slow reader gets, but no more than the drain's.
      const timer = setTimeout(
        () => server.closeAllConnections(),
        Math.min(deadlineMs, config.writeStallMs),
      );
      server.closeIdleConnections();
      await closed;
      clearTimeout(timer);
    },
  };
}

function createHttpServer({
  config,
  metrics,
  handle,
}: {
  config: Config;
  metrics: Metrics;
  handle: (incoming: IncomingMessage, outgoing: ServerResponse) => unknown;
}): Server {
  /** Requests that have not been answered in full. */
  const active = new Map<Socket, ServerResponse>();
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_DEADLINE_MS,
      requestTimeout: HEADERS_DEADLINE_MS + config.bodyDeadlineMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
    },
    (incoming, outgoing) => {
      const { socket } = incoming;
      active.set(socket, outgoing);
      outgoing.once('close', () => {
        active.delete(socket);
        // Kept-alive connections that become idle during the drain would hold it up.
        if (!server.listening) setImmediate(() => server.closeIdleConnections());
      });
      try {
        guardRequest(incoming);
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        refuse(outgoing, error, metrics);
        return;
      }
      void handle(incoming, outgoing);
    },
  );
  // Their number is bounded by the bytes; `guardRequest` counts them, which a silent cut would prevent.
  server.maxHeadersCount = 0;
  server.maxConnections = config.connectionsMax;
  server.setTimeout(config.writeStallMs, (socket: Socket) => {
    if (socket.writableLength > 0) {
      metrics.stalls.inc();
      socket.destroy();
    } else if (active.has(socket)) {
      socket.setTimeout(config.writeStallMs); // a prediction takes its time; nothing is stuck
    } else {
      socket.destroy();
    }
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const outgoing = active.get(socket);
    // Garbage behind a whole request: that request gets its answer first.
    if (outgoing?.req.complete) outgoing.once('finish', () => onClientError(error, socket));
    else onClientError(error, socket);
  });
  return server;
}

function refuse(outgoing: ServerResponse, error: ServiceError, metrics: Metrics): void {
  const { status, code, body, headers } = renderError(error);
  metrics.refusals.inc({ code });
  outgoing.writeHead(status, {
    ...headers,
    [HEADERS.requestId]: randomUUID(),
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    Connection: 'close',
  });
  outgoing.end(JSON.stringify(body));
}

/** What Node's parser refuses has no request yet: answered on the socket, then closed. */
function onClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request';
  const body = JSON.stringify({ error: `${status.slice(4)}.`, status: 'failed' });
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

async function listen(server: Server, { port, host }: Config): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ port, host }, resolve);
  await promise;
  server.off('error', reject);
  return (server.address() as AddressInfo).port;
}
