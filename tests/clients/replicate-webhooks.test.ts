/** Webhooks of predictions: delivered for real, to a receiver that the verifiers of the clients read for. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';
import Replicate, { validateWebhook } from 'replicate';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { predictionObject } from '#shared/schemas/replicate.ts';
import { type RunningEdge, startEdge } from '../helpers/edge.ts';
import { MODEL } from '../helpers/model.ts';

interface Delivery {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

const model = MODEL.id as `${string}/${string}`;
const deliveries: Delivery[] = [];
let answer: (response: ServerResponse, count: number) => void;
let edge: RunningEdge;
let replicate: Replicate;
let receiver: string;
const server = createServer((request, response) => {
  void receive(request, response);
});

async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  deliveries.push({
    path: request.url ?? '',
    headers: request.headers as Record<string, string>,
    body: Buffer.concat(chunks).toString(),
  });
  answer(response, deliveries.length);
}

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  receiver = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  edge = await startEdge({ bindings: { WEBHOOK_TARGETS: 'any' } });
  replicate = new Replicate({ auth: edge.key, baseUrl: `${edge.url}/v1` });
});
afterAll(async () => {
  await edge[Symbol.asyncDispose]();
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  deliveries.length = 0;
  answer = (response) => void response.end('ok');
  edge.upstream.behaviour = {};
});

const completed = () => deliveries.filter(({ body }) => body.includes('"status":"succeeded"'));

test('a webhook is verified by replicate and by openai with the same secret', async () => {
  const { key } = await replicate.webhooks.default.secret.get();
  const { id } = await replicate.predictions.create({
    model,
    input: { prompt: 'a webhook' },
    webhook: `${receiver}/done`,
    webhook_events_filter: ['completed'],
  });
  await expect.poll(() => deliveries.length).toBe(1);
  const { headers, body, path } = deliveries[0]!;
  expect(path).toBe('/done');
  expect(predictionObject.parse(JSON.parse(body))).toMatchObject({ id, status: 'succeeded' });
  expect(await validateWebhook({ headers, body } as never, key)).toBe(true);
  expect(await validateWebhook({ headers, body: `${body} ` } as never, key)).toBe(false);
  const client = new OpenAI({ apiKey: 'unused', webhookSecret: key });
  expect(await client.webhooks.unwrap(body, headers)).toMatchObject({ id });
});

test('a webhook is sent again with the same id until it is taken', async () => {
  answer = (response, count) => {
    response.statusCode = count === 1 ? 500 : 200;
    response.end();
  };
  await replicate.predictions.create({
    model,
    input: { prompt: 'a webhook again' },
    webhook: `${receiver}/`,
    webhook_events_filter: ['completed'],
  });
  await expect.poll(() => deliveries.length).toBe(2);
  const [first, second] = deliveries;
  expect(second!.headers['webhook-id']).toBe(first!.headers['webhook-id']);
  expect(second!.body).toBe(first!.body);
});

test('a webhook follows no redirect and is given up where it is refused', async () => {
  answer = (response) => void response.writeHead(302, { Location: `${receiver}/elsewhere` }).end();
  await replicate.predictions.create({
    model,
    input: { prompt: 'a webhook moved' },
    webhook: `${receiver}/here`,
    webhook_events_filter: ['completed'],
  });
  await expect
    .poll(() => edge.log.filter(({ event }) => event === 'webhook.failed'))
    .toMatchObject([{ outcome: 'refused', attempts: 1 }]);
  expect(deliveries.map(({ path }) => path)).toEqual(['/here']);
});

test('a webhook without a filter hears of the start and the end', async () => {
  await replicate.predictions.create({
    model,
    input: { prompt: 'a webhook for everything' },
    webhook: receiver,
  });
  await expect.poll(() => completed().length).toBe(1);
  await expect
    .poll(() => deliveries.map(({ body }) => (JSON.parse(body) as { status: string }).status))
    .toContain('processing');
});
