import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { type SendOutcome, sendEvents } from '../../../gpu-fn/http/send-events.ts';
import { EventHistory } from '../../../gpu-fn/predictions/event-history.ts';

/** Serves one history to one reader. */
async function serve(history: EventHistory, { withPreviews = false } = {}) {
  const outcome = Promise.withResolvers<SendOutcome>();
  const server = createServer((_incoming, outgoing) => {
    void sendEvents(outgoing, {
      history,
      withPreviews,
      heartbeatMs: 60_000,
      stallMs: 60_000,
      headers: { 'X-Request-Id': 'r1' },
    }).then(outcome.resolve);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    outcome: outcome.promise,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

describe('sendEvents()', () => {
  it('ends each record with a blank line, the last one too', async () => {
    const history = new EventHistory(10);
    history.append({ name: 'log', data: { data: 'line 1\nline 2\n' } });
    history.append({ name: 'completed', data: { status: 'succeeded' } });
    history.end();
    await using served = await serve(history);
    const response = await fetch(served.url);
    expect(await response.text()).toBe(
      ': connected\n\n' +
        'event: log\ndata: {"data":"line 1\\nline 2\\n"}\n\n' +
        'event: completed\ndata: {"status":"succeeded"}\n\n',
    );
    expect(response.headers.get('X-Request-Id')).toBe('r1');
    expect(response.headers.get('X-Accel-Buffering')).toBe('no');
    expect(await served.outcome).toBe('completed');
  });

  it('leaves previews out for those who did not ask', async () => {
    const history = new EventHistory(10);
    history.append({ name: 'preview', data: {} });
    history.append({ name: 'completed', data: {} });
    history.end();
    await using plain = await serve(history);
    expect(await (await fetch(plain.url)).text()).not.toContain('preview');
    await using asked = await serve(history, { withPreviews: true });
    expect(await (await fetch(asked.url)).text()).toContain('event: preview');
  });

  it('notices that the reader is gone', async () => {
    const history = new EventHistory(10);
    await using served = await serve(history);
    const leave = new AbortController();
    await fetch(served.url, { signal: leave.signal });
    leave.abort();
    expect(await served.outcome).toBe('left');
  });
});
