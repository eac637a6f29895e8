/** Webhooks of the function, received on a real socket. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMetrics } from '../../../gpu-fn/metrics.ts';
import { Prediction } from '../../../gpu-fn/predictions/prediction.ts';
import { WEBHOOK_EVENTS, WebhookSender } from '../../../gpu-fn/predictions/webhooks.ts';
import { startFunction } from '../../helpers/gpu-function.ts';

interface Received {
  readonly headers: IncomingMessage['headers'];
  readonly body: Record<string, unknown>;
}

let received: Received[];
let statuses: number[];
let url: string;
let close: () => void;
beforeEach(async () => {
  received = [];
  statuses = [];
  const server = createServer(async (incoming, outgoing) => {
    let text = '';
    for await (const chunk of incoming) text += chunk;
    received.push({ headers: incoming.headers, body: JSON.parse(text) });
    const status = statuses.shift() ?? 200;
    outgoing.writeHead(status, status === 302 ? { Location: url } : {}).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  close = () => server.close(() => undefined).closeAllConnections();
});
afterEach(() => {
  close();
});

const silent = { debug: () => undefined, info: () => undefined, error: () => undefined };

function setUp({ authToken, throttleMs = 0 }: { authToken?: string; throttleMs?: number } = {}) {
  const delays: number[] = [];
  const metrics = createMetrics({ queueDepth: () => 0, runningCount: () => 0 });
  const sender = new WebhookSender({
    log: silent,
    metrics,
    authToken,
    throttleMs,
    sleep: async (ms) => {
      delays.push(ms);
    },
    now: () => 0,
  });
  const prediction = new Prediction({
    id: 'p1',
    input: { seed: 7 } as never,
    mode: 'async',
    historyMax: 100,
  });
  const count = async (outcome: string) => {
    const { values } = await metrics.webhooks.get();
    return values.find(({ labels }) => labels.outcome === outcome)?.value ?? 0;
  };
  return { sender, prediction, delays, count };
}

const everything = new Set(WEBHOOK_EVENTS);
const done = { deadlineMs: 5000 };

describe('WebhookSender', () => {
  it('tells the end of a prediction, with its token and trace', async () => {
    const { sender, prediction, count } = setUp({ authToken: 'token-1' });
    const traceHeaders = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` };
    sender.follow(prediction, { url, events: new Set(['completed']), traceHeaders });
    prediction.start();
    prediction.output('data:,x', '00');
    prediction.succeed({ warnings: [], revision: 'r' });
    await sender.drain(done);
    expect(received).toHaveLength(1);
    expect(received[0]?.headers).toMatchObject({
      authorization: 'Bearer token-1',
      'content-type': 'application/json',
      traceparent: traceHeaders.traceparent,
    });
    expect(received[0]?.body).toMatchObject({
      id: 'p1',
      status: 'succeeded',
      output: ['data:,x'],
      logs: '',
      metrics: {},
    });
    expect(await count('delivered')).toBe(1);
  });

  it('sends each kind of event, the end last', async () => {
    const { sender, prediction } = setUp();
    sender.follow(prediction, { url, events: everything, traceHeaders: {} });
    prediction.start();
    await sender.drain(done);
    prediction.log('text\n');
    await sender.drain(done);
    prediction.output('data:,x', '00');
    await sender.drain(done);
    prediction.succeed({ warnings: [], revision: 'r' });
    await sender.drain(done);
    expect(received.map(({ body }) => body.status)).toEqual([
      'processing',
      'processing',
      'processing',
      'succeeded',
    ]);
    expect(received[1]?.body.logs).toBe('text\n');
  });

  it('sends start and logs no more often than the throttle allows', async () => {
    const { sender, prediction } = setUp({ throttleMs: 500 });
    sender.follow(prediction, { url, events: everything, traceHeaders: {} });
    prediction.start();
    await sender.drain(done);
    prediction.log('text\n');
    await sender.drain(done);
    expect(received).toHaveLength(1);
  });

  it('retries the end twelve times with doubling pauses', async () => {
    const { sender, prediction, delays, count } = setUp();
    statuses = [429, 500, 502, 503, 504, 500, 500, 500, 500, 500, 500, 500];
    sender.follow(prediction, { url, events: everything, traceHeaders: {} });
    prediction.cancel();
    await sender.drain(done);
    expect(received).toHaveLength(12);
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 102_400]);
    expect(await count('failed')).toBe(1);
  });

  it('stops retrying once it is delivered', async () => {
    const { sender, prediction, count } = setUp();
    statuses = [503, 200];
    sender.follow(prediction, { url, events: everything, traceHeaders: {} });
    prediction.cancel();
    await sender.drain(done);
    expect(received).toHaveLength(2);
    expect(await count('delivered')).toBe(1);
  });

  it('sends events before the end once only', async () => {
    const { sender, prediction } = setUp();
    statuses = [503];
    sender.follow(prediction, { url, events: everything, traceHeaders: {} });
    prediction.start();
    await sender.drain(done);
    expect(received).toHaveLength(1);
  });

  it.each([400, 404, 302])(
    'does not retry, nor follow, a receiver that answers %i',
    async (code) => {
      const { sender, prediction, count } = setUp();
      statuses = [code];
      sender.follow(prediction, { url, events: everything, traceHeaders: {} });
      prediction.cancel();
      await sender.drain(done);
      expect(received).toHaveLength(1);
      expect(await count('refused')).toBe(1);
    },
  );

  it('retries a receiver that cannot be reached', async () => {
    const { sender, prediction, delays } = setUp();
    close();
    sender.follow(prediction, { url, events: everything, traceHeaders: {} });
    prediction.cancel();
    await sender.drain(done);
    expect(delays).toHaveLength(11);
  });
});

describe('POST /predictions with a webhook', () => {
  it('delivers what the filter names', async () => {
    await using fn = await startFunction();
    await fn.predict(
      { id: 'p1', input: { prompt: 'a cat' }, webhook: url, webhook_events_filter: ['completed'] },
      { Prefer: 'respond-async' },
    );
    (await fn.engine.nextJob()).finish();
    await expect.poll(() => received.length).toBe(1);
    expect(received[0]?.body).toMatchObject({ id: 'p1', status: 'succeeded' });
  });
});
