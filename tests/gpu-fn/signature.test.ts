/** Requests signed by the edge, and those that are not. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signRequest } from '#shared/signature.ts';
import { type RunningFunction, startFunction } from '../helpers/gpu-function.ts';

const KEY = { id: 'edge', secret: 'a-secret-of-many-characters' };
const BODY = JSON.stringify({ input: { prompt: 'a cat' } });
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

let fn: RunningFunction;
let nowMs: number;
beforeEach(async () => {
  nowMs = NOW;
  fn = await startFunction({
    env: { GPU_SIGNING_KEY: `${KEY.id}:${KEY.secret}` },
    deps: { now: () => nowMs },
  });
  fn.engine.automatic = true;
});
afterEach(async () => {
  await fn[Symbol.asyncDispose]();
});

function sign({
  method = 'POST',
  path = '/predictions',
  body = BODY,
  key = KEY,
  atMs = NOW,
} = {}): Promise<Record<string, string>> {
  const bytes = new TextEncoder().encode(body);
  return signRequest({ method, path, body: bytes }, { key, nowMs: atMs });
}

function send(
  headers: Record<string, string>,
  { method = 'POST', path = '/predictions', body = BODY as string | null } = {},
): Promise<Response> {
  return fetch(`${fn.origin}${path}`, {
    method,
    headers: { 'Content-Type': 'application/json', ...headers },
    ...(body !== null && { body }),
  });
}

async function expectRefusal(answer: Promise<Response>, code: string): Promise<void> {
  const response = await answer;
  expect(response.status).toBe(401);
  expect(await response.json()).toMatchObject({ status: 'failed', code });
  expect(fn.engine.startedCount).toBe(0);
}

describe('signature', () => {
  it('lets a signed request through', async () => {
    expect((await send(await sign())).status).toBe(200);
  });

  it('refuses an unsigned request before its body is read', async () => {
    await expectRefusal(send({}), 'invalid_signature');
  });

  it('refuses the same bytes a second time', async () => {
    const headers = await sign();
    expect((await send(headers)).status).toBe(200);
    const again = await send(headers);
    expect(again.status).toBe(401);
    expect(await again.json()).toMatchObject({ code: 'replayed' });
    expect(fn.engine.startedCount).toBe(1);
  });

  it.each([-60_001, 60_001])('refuses a clock that differs by %i ms', async (skewMs) => {
    await expectRefusal(send(await sign({ atMs: NOW + skewMs })), 'clock_skew');
  });

  it.each([-60_000, 60_000])('accepts a clock that differs by %i ms', async (skewMs) => {
    expect((await send(await sign({ atMs: NOW + skewMs }))).status).toBe(200);
  });

  it.each([
    ['another body', {}, { body: BODY.replace('cat', 'dog') }],
    ['another path', { path: '/predictions/x/cancel' }, {}],
    ['another query', { path: '/predictions?a=1' }, {}],
    ['another method', { method: 'PUT' }, {}],
    ['another key’s secret', { key: { ...KEY, secret: 'not-the-secret-of-the-function' } }, {}],
    ['an unknown key id', { key: { ...KEY, id: 'nobody' } }, {}],
  ])('refuses a signature for %s', async (_name, signed, sent) => {
    await expectRefusal(send(await sign(signed), sent), 'invalid_signature');
  });

  it.each([
    ['truncated', (mac: string) => mac.slice(0, 62)],
    ['upper-case', (mac: string) => mac.toUpperCase()],
    ['base64', (mac: string) => Buffer.from(mac, 'hex').toString('base64')],
    ['flipped', (mac: string) => `${mac.startsWith('0') ? '1' : '0'}${mac.slice(1)}`],
  ])('refuses a %s MAC', async (_name, change) => {
    const headers = await sign();
    headers['Pixart-Signature'] = change(headers['Pixart-Signature'] ?? '');
    await expectRefusal(send(headers), 'invalid_signature');
  });

  it('is needed for cancel and shutdown too', async () => {
    for (const path of ['/predictions/x/cancel', '/shutdown']) {
      expect((await send({}, { path, body: null })).status).toBe(401);
      const headers = await sign({ path, body: '' });
      const status = (await send(headers, { path, body: null })).status;
      expect(status).toBe(path === '/shutdown' ? 200 : 404);
    }
  });

  it.each(['/', '/health-check', '/openapi.json', '/model', '/metrics'])(
    'is not needed for GET %s on loopback',
    async (path) => {
      expect((await fetch(`${fn.origin}${path}`)).status).toBe(200);
    },
  );
});
