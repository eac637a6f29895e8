/**
 * A stand-in for Replicate: an HTTP server on a real socket with the shapes of the real API, as its documentation and its
 * client describe them. It is not Replicate: nobody has compared the two.
 *
 * Predictions go `starting` → `processing` → `succeeded` as the test says; pictures are PNGs made from seed and prompt. It
 * counts creations, looks and cancellations, which is what the tests ask about.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { pictureOf } from './upstream.ts';

export const REPLICATE_TOKEN = 'r8_a token that only the tests know';
/** `whsec_` and the base64 of 32 bytes. */
export const WEBHOOK_SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

export interface HostedRecord {
  readonly id: string;
  readonly model: string | undefined;
  readonly version: string | undefined;
  readonly input: Record<string, unknown>;
  readonly webhook: string | undefined;
  readonly cancelAfter: string | undefined;
  readonly createdAt: string;
  status: string;
  output: unknown;
  error: string | null;
  looks: number;
}

export interface ReplicateStandIn extends AsyncDisposable {
  /** Base URL of the API. */
  readonly url: string;
  readonly records: HostedRecord[];
  /** Calls by method and path, in order, with their time. */
  readonly calls: { readonly call: string; readonly atMs: number; readonly auth: boolean }[];
  readonly canceled: string[];
  /** State after each look; absent: `succeeded` at the first one. */
  states: readonly string[];
  /** Answers a call itself and returns true, before anything else is done. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Runs after a prediction was created and before its answer; true: it has seen to the answer. */
  onCreated: (record: HostedRecord, response: ServerResponse) => boolean;
  /** Bytes of the finished file. */
  file: (record: HostedRecord) => Uint8Array;
  /** `output` of a finished prediction. */
  output: (record: HostedRecord) => unknown;
  when(test: () => boolean): Promise<void>;
}

export async function startReplicate(): Promise<ReplicateStandIn> {
  const watchers = new Set<() => void>();
  const sockets = new Set<Socket>();
  const changed = () => {
    for (const watcher of watchers) watcher();
  };
  let origin = '';

  const standIn: ReplicateStandIn = {
    get url() {
      return `${origin}/v1`;
    },
    records: [],
    calls: [],
    canceled: [],
    states: ['succeeded'],
    intercept: () => false,
    onCreated: () => false,
    file: ({ input }) => pictureOf(input),
    output: ({ id }) => [`${origin}/files/${id}/out-0.png`],
    when: (test) =>
      new Promise((resolve) => {
        const watcher = () => {
          if (!test()) return;
          watchers.delete(watcher);
          resolve();
        };
        watchers.add(watcher);
        watcher();
      }),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    const auth = request.headers.authorization === `Bearer ${REPLICATE_TOKEN}`;
    standIn.calls.push({ call: `${method} ${url}`, atMs: performance.now(), auth });
    const body = await read(request);
    changed();
    if (standIn.intercept(request, response)) return;
    const file = /^\/files\/([a-z0-9]+)\/out-0\.png$/.exec(url);
    if (file !== null) {
      const record = standIn.records.find(({ id }) => id === file[1]);
      if (record === undefined) response.writeHead(404).end();
      else response.writeHead(200, { 'Content-Type': 'image/png' }).end(standIn.file(record));
      return;
    }
    if (!auth) return sendJson(response, 401, { title: 'Unauthenticated', status: 401 });
    const model = /^\/v1\/models\/([^/]+\/[^/]+)\/predictions$/.exec(url)?.[1];
    if (method === 'POST' && (model !== undefined || url === '/v1/predictions')) {
      const record = create(body, model, request);
      standIn.records.push(record);
      changed();
      if (!standIn.onCreated(record, response))
        sendJson(response, 201, toPrediction(record, origin));
      changed();
      return;
    }
    if (method === 'GET' && url === '/v1/predictions') {
      const results = standIn.records.map((record) => toPrediction(record, origin)).reverse();
      return sendJson(response, 200, { previous: null, next: null, results });
    }
    const [, id, verb] = /^\/v1\/predictions\/([a-z0-9]+)(\/cancel)?$/.exec(url) ?? [];
    const record = standIn.records.find((item) => item.id === id);
    if (record === undefined) {
      return sendJson(response, 404, {
        detail: 'The requested resource could not be found.',
        status: 404,
      });
    }
    if (verb !== undefined) {
      standIn.canceled.push(record.id);
      record.status = 'canceled';
    } else if (record.status === 'starting' || record.status === 'processing') {
      const { states } = standIn;
      record.status = states[Math.min(record.looks, states.length - 1)]!;
      record.looks += 1;
      if (record.status === 'succeeded') record.output = standIn.output(record);
      if (record.status === 'failed') record.error = 'CUDA out of memory on host-17';
    }
    sendJson(response, 200, toPrediction(record, origin));
    changed();
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return standIn;
}

export interface DeliveryOptions {
  readonly id?: string;
  /** Seconds away from now. */
  readonly offsetSeconds?: number;
  readonly secret?: string;
}

/** Headers that sign a delivery as Replicate does. */
export function signDelivery(
  body: string,
  {
    id = `msg_${randomBytes(8).toString('hex')}`,
    offsetSeconds = 0,
    secret = WEBHOOK_SECRET,
  }: DeliveryOptions = {},
): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1000) + offsetSeconds);
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${mac}`,
  };
}

function create(body: string, model: string | undefined, request: IncomingMessage): HostedRecord {
  const { version, input, webhook } = JSON.parse(body) as {
    version?: string;
    input: Record<string, unknown>;
    webhook?: string;
  };
  return {
    id: randomBytes(13).toString('hex'),
    model,
    version,
    input,
    webhook,
    cancelAfter: request.headers['cancel-after'] as string | undefined,
    createdAt: new Date().toISOString(),
    status: 'starting',
    output: null,
    error: null,
    looks: 0,
  };
}

function toPrediction(record: HostedRecord, origin: string): Record<string, unknown> {
  const { id, model = 'owner/hosted', version = 'hidden', input, status, output, error } = record;
  const isOver = !['starting', 'processing'].includes(status);
  return {
    id,
    model,
    version,
    input,
    output,
    error,
    logs: '',
    status,
    source: 'api',
    data_removed: false,
    created_at: record.createdAt,
    ...(isOver && { completed_at: new Date().toISOString(), metrics: { predict_time: 0.25 } }),
    ...(record.webhook !== undefined && { webhook: record.webhook }),
    urls: {
      get: `${origin}/v1/predictions/${id}`,
      cancel: `${origin}/v1/predictions/${id}/cancel`,
    },
  };
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}
