/**
 * A stand-in for the function: an HTTP server on a real socket that speaks the Cog protocol and can be told to misbehave.
 *
 * It draws nothing: a prediction is answered with a PNG of one colour, worked out from its seed and prompt, so that equal
 * inputs get equal bytes. It counts what reached it and what was called off, which is what the tests of the edge ask about. It
 * checks request signatures with the same code as the function.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { ServiceError } from '#shared/errors.ts';
import { NonceStore, parseSigningKeys, verifyRequest } from '#shared/signature.ts';
import { parseVariantQuery } from '#shared/variant.ts';
import { makeVariant } from '../../gpu-fn/image/make-variant.ts';
import { REVISION } from './model.ts';
import { makePng } from './picture.ts';

export interface ReceivedPrediction {
  readonly id: string;
  readonly input: Record<string, unknown>;
  readonly headers: IncomingMessage['headers'];
  outcome: 'running' | 'completed' | 'canceled';
}

/** What it does with a prediction; each one waits where the test says. */
export interface Behaviour {
  /** Runs before the answer begins; may answer itself. */
  readonly before?: (
    response: ServerResponse,
    received: ReceivedPrediction,
  ) => Promise<void> | void;
  /** Runs after the head and `start`, before the picture; may write, wait, or destroy the socket. */
  readonly during?: (
    response: ServerResponse,
    received: ReceivedPrediction,
  ) => Promise<void> | void;
  /** Changes the final event. */
  readonly result?: (completed: Record<string, unknown>) => Record<string, unknown>;
  /** Whether comments go out while it waits. Default true. */
  readonly heartbeat?: boolean;
}

export interface UpstreamStandIn {
  readonly url: string;
  readonly received: ReceivedPrediction[];
  /** Queries of the variants that were asked for. */
  readonly variants: string[];
  /** Runs before a variant is made; may answer itself. */
  beforeVariant: (response: ServerResponse) => Promise<void> | void;
  /** Refusals by signature. */
  readonly refused: string[];
  behaviour: Behaviour;
  /** Cog's word for its state. */
  status: string;
  /** How far its clock is ahead. */
  clockOffsetMs: number;
  /** Resolves when a prediction for which the test holds is there. */
  when(test: () => boolean): Promise<void>;
  /** Cuts every connection and stops listening. */
  kill(): Promise<void>;
  /** Listens again on the same port. */
  revive(): Promise<void>;
  close(): Promise<void>;
}

/** @param port  0 picks a free one */
export async function startUpstream({
  signingKey,
  port: wantedPort = 0,
}: {
  signingKey?: string;
  port?: number;
} = {}): Promise<UpstreamStandIn> {
  const sockets = new Set<Socket>();
  const watchers = new Set<() => void>();
  const nonces = new NonceStore();
  const keys = signingKey === undefined ? undefined : parseSigningKeys(signingKey);
  const changed = () => {
    for (const watcher of watchers) watcher();
  };
  let server: Server;
  let port = 0;

  const standIn: UpstreamStandIn = {
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    received: [],
    variants: [],
    beforeVariant: () => undefined,
    refused: [],
    behaviour: {},
    status: 'READY',
    clockOffsetMs: 0,
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
    kill: async () => {
      for (const socket of sockets) socket.resetAndDestroy();
      await new Promise((resolve) => server.close(resolve));
    },
    revive: () => listen(port),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === '/health-check') {
      response.end(JSON.stringify({ status: standIn.status }));
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (keys !== undefined) {
      try {
        await verifyRequest(
          { method: request.method ?? '', path: request.url ?? '', body },
          {
            header: (name) => request.headers[name.toLowerCase()] as string | undefined,
            keys,
            nonces,
            nowMs: Date.now() + standIn.clockOffsetMs,
          },
        );
      } catch (error) {
        standIn.refused.push((error as ServiceError).code);
        response.writeHead(401).end('{}');
        return;
      }
    }
    if (request.url?.startsWith('/variants?')) {
      await answerVariant(response, request.url, body);
      return;
    }
    const { id, input } = JSON.parse(body.toString()) as {
      id: string;
      input: Record<string, unknown>;
    };
    const received: ReceivedPrediction = {
      id,
      input,
      headers: request.headers,
      outcome: 'running',
    };
    standIn.received.push(received);
    response.on('close', () => {
      if (received.outcome === 'running') received.outcome = 'canceled';
      changed();
    });
    changed();
    await answer(response, received, standIn.behaviour);
    changed();
  }

  /** Variants are made as the function makes them. */
  async function answerVariant(response: ServerResponse, url: string, body: Buffer) {
    const query = url.slice('/variants?'.length);
    standIn.variants.push(query);
    changed();
    await standIn.beforeVariant(response);
    if (response.headersSent || response.destroyed) return;
    const variant = parseVariantQuery(new URLSearchParams(query));
    const file = await makeVariant(body, variant, { seconds: 30 });
    const digest = createHash('sha256').update(file).digest('base64');
    response.writeHead(200, { 'Content-Digest': `sha-256=:${digest}:` }).end(file);
  }

  async function listen(at: number): Promise<void> {
    server = createServer((request, response) => {
      handle(request, response).catch(() => response.destroy());
    });
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(at, '127.0.0.1', resolve);
    });
    port = (server.address() as AddressInfo).port;
  }

  await listen(wantedPort);
  return standIn;
}

async function answer(
  response: ServerResponse,
  received: ReceivedPrediction,
  behaviour: Behaviour,
): Promise<void> {
  await behaviour.before?.(response, received);
  if (response.headersSent || response.destroyed) return;
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  response.write(': keep-alive\n\n');
  send(response, 'start', { id: received.id, status: 'processing' });
  const heartbeat = setInterval(() => {
    if (behaviour.heartbeat !== false) response.write(': keep-alive\n\n');
  }, 200);
  response.on('close', () => clearInterval(heartbeat));
  await behaviour.during?.(response, received);
  clearInterval(heartbeat);
  if (response.destroyed || response.writableEnded) return;
  const completed = completedOf(received);
  received.outcome = 'completed';
  send(response, 'completed', behaviour.result?.(completed) ?? completed);
  response.end();
}

export function send(response: ServerResponse, event: string, data: unknown): void {
  response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** The picture that this input gets. */
export function pictureOf(input: Record<string, unknown>): Uint8Array {
  const { width, height, seed, prompt } = input as {
    width: number;
    height: number;
    seed: number;
    prompt: string;
  };
  const hash = createHash('sha256').update(`${seed} ${prompt}`).digest();
  return makePng(width, height, hash.readUIntBE(0, 3));
}

export function toDataUri(bytes: Uint8Array): string {
  return `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`;
}

/** Data of the final event. */
export function completedOf({ id, input }: ReceivedPrediction): Record<string, unknown> {
  const bytes = pictureOf(input);
  return {
    id,
    status: 'succeeded',
    output: [toDataUri(bytes)],
    output_sha256: [createHash('sha256').update(bytes).digest('hex')],
    logs: '',
    metrics: {
      predict_time: 0.1,
      queue_time: 0.001,
      text_time: 0.009,
      denoise_time: 0.06,
      vae_time: 0.02,
      image_time: 0.005,
      prompt_tokens: 7,
    },
    seed: input.seed,
    revision: REVISION,
    warnings: [],
  };
}
