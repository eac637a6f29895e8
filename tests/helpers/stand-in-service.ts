/**
 * The service as the page sees it, with answers of the test's: files of the page, a model, and whatever a drawing is to do.
 *
 * For what the real one does not do on demand: be slow, break off, refuse. `tests/e2e/` drives the page against the real one.
 */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import sharp from 'sharp';

export interface StandInService extends AsyncDisposable {
  readonly origin: string;
  /** Bodies of the generation requests so far. */
  readonly requests: Record<string, unknown>[];
  /** `Authorization` of every API request so far. */
  readonly credentials: (string | undefined)[];
  /** What the next drawings do. */
  answer: (
    response: ServerResponse,
    body: Record<string, unknown>,
    request: IncomingMessage,
  ) => void | Promise<void>;
  /** Status that the model list answers with. */
  modelStatus: number;
}

const PUBLIC = path.resolve(import.meta.dirname, '../../edge/public');
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
const DIGEST = 'ab'.repeat(32);

export const MODEL = {
  id: 'pixart-edge/stand-in',
  object: 'model',
  native_size: [128, 128],
  sizes: [
    [128, 128],
    [128, 160],
  ],
  alpha: true,
  samplers: { lcm: { steps: { min: 1, max: 8, default: 4 } } },
  default_sampler: 'lcm',
  vocabulary: {
    concepts: ['cactus', 'apple', 'cat', 'car', 'dog', 'tree'],
    styles: ['flat', '3d'],
    colours: ['red', 'blue'],
    backdrops: ['white', 'gradient'],
  },
};

export async function startStandIn(): Promise<StandInService> {
  const picture = await sharp({
    create: { width: 128, height: 128, channels: 3, background: '#7a5' },
  })
    .png()
    .toBuffer();
  const server = createServer((request, response) => void handle(request, response));
  const service = {
    origin: '',
    requests: [] as Record<string, unknown>[],
    credentials: [] as (string | undefined)[],
    modelStatus: 200,
    answer: ((response, body) => complete(response, body)) as StandInService['answer'],
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://stand-in');
    if (pathname === '/v1/models') {
      service.credentials.push(request.headers.authorization);
      if (service.modelStatus !== 200)
        return refuse(
          response,
          service.modelStatus,
          'invalid_credentials',
          'The API key is not valid.',
        );
      return sendJson(response, 200, { object: 'list', data: [MODEL] });
    }
    if (pathname === '/v1/images/generations') {
      service.credentials.push(request.headers.authorization);
      const body = JSON.parse(await text(request)) as Record<string, unknown>;
      service.requests.push(body);
      await service.answer(response, body, request);
      return;
    }
    if (pathname.startsWith('/i/')) {
      response.writeHead(200, { 'Content-Type': 'image/png' }).end(picture);
      return;
    }
    const name = pathname === '/' ? '/index.html' : pathname;
    try {
      const bytes = await readFile(path.join(PUBLIC, path.normalize(name)));
      response
        .writeHead(200, { 'Content-Type': TYPES[path.extname(name)] ?? 'text/plain' })
        .end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  service.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  function complete(response: ServerResponse, body: Record<string, unknown>): void {
    openStream(response);
    sendEvent(response, previewEvent(1, picture));
    sendEvent(response, completedEvent(body, { origin: service.origin, picture }));
    response.end();
  }
  return service;
}

export function openStream(response: ServerResponse): void {
  response.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'X-Request-Id': 'req_standin0001',
  });
  response.write(': accepted\n\n');
}

export function sendEvent(response: ServerResponse, event: { readonly type: string }): void {
  response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response
    .writeHead(status, { 'Content-Type': 'application/json', ...headers })
    .end(JSON.stringify(body));
}

export function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): void {
  const error = { message, type: 'invalid_request_error', param: null, code };
  sendJson(
    response,
    status,
    { error, code, detail: message, request_id: 'req_standin0002', retryable: status >= 429 },
    headers,
  );
}

export function previewEvent(step: number, picture: Buffer) {
  return {
    type: 'image_generation.partial_image',
    b64_json: picture.toString('base64'),
    output_format: 'png',
    size: '128x128',
    partial_image_index: step - 1,
    step,
    steps: 4,
  };
}

export function completedEvent(
  body: Record<string, unknown>,
  { origin, picture, ...rest }: { origin: string; picture: Buffer } & Record<string, unknown>,
) {
  return {
    type: 'image_generation.completed',
    b64_json: picture.toString('base64'),
    output_format: body.output_format,
    size: body.size ?? '128x128',
    background: 'opaque',
    url: `${origin}/i/${DIGEST}.png`,
    id: DIGEST,
    seed: body.seed ?? 7,
    cache: 'miss',
    warnings: [],
    timings: {},
    ...rest,
  };
}
