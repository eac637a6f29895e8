/** The order of refusals, in Node: what comes first is what the caller is told. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createApiKey } from '#shared/api-key.ts';
import { generateRequest } from '#shared/schemas/generate.ts';
import { ApiKeys } from '../../edge/api-keys.ts';
import { listPictures, planGeneration } from '../../edge/generation.ts';
import { storePicture } from '../../edge/image-store.ts';
import { ReadLeases } from '../../edge/read-leases.ts';
import { createTestApp, testConfig } from '../helpers/app.ts';
import { makePng } from '../helpers/picture.ts';

const code = async (response: Response) => ((await response.json()) as { code: string }).code;

describe('createApp()', () => {
  test('createApp() refuses in the order: path, origin, method, size, credentials, budget, body', async () => {
    const { request } = createTestApp({
      settings: { AUTH_MODE: 'keys', API_KEYS_BOOTSTRAP: '[]' },
    });
    const bad = { method: 'PUT', headers: { Origin: 'https://evil.example' }, body: 'x' };
    expect(await code(await request('/v1/images/generations', bad))).toBe('origin_not_allowed');
    expect(await code(await request('/v1/images/generations', { method: 'PUT', body: 'x' }))).toBe(
      'method_not_allowed',
    );
    const large = {
      method: 'POST',
      body: 'x'.repeat(65_537),
      headers: { 'Content-Length': '65537' },
    };
    expect(await code(await request('/v1/images/generations', large))).toBe('payload_too_large');
    const small = { method: 'POST', body: 'not json' };
    expect(await code(await request('/v1/images/generations', small))).toBe('auth_unavailable');

    const open = createTestApp();
    expect(await code(await open.request('/v1/images/generations', small))).toBe(
      'unsupported_media_type',
    );
  });

  test('createApp() asks no Durable Object for what is in the cache, once it knows the caller', async () => {
    const { key, id, sha256 } = await createApiKey();
    let asked = 0;
    const record = {
      id,
      sha256,
      scopes: ['generate' as const],
      rate: 1,
      burst: 1,
      account: 'acme',
    };
    const { request, bucket } = createTestApp({
      settings: { AUTH_MODE: 'keys', API_KEYS_BOOTSTRAP: JSON.stringify([record]) },
      deps: {
        apiKeys: new ApiKeys({
          lookUp: async () => {
            asked += 1;
            return record;
          },
          now: () => 0,
        }),
        readLeases: new ReadLeases({
          readsPerMinute: 1200,
          take: async (_id, _limits, { count }) => {
            asked += 1;
            return { taken: count, revoked: false, remaining: 100, nextMs: 50, fullMs: 1000 };
          },
          now: () => 0,
        }),
      },
    });
    const plan = planGeneration(generateRequest.parse({ prompt: 'a fox' }), {
      config: testConfig(),
      account: 'acme',
      keyId: 'key1',
      unknownNames: [],
    });
    const [picture] = await listPictures(plan, { randomSeed: undefined });
    const bytes = new Uint8Array(makePng(128, 128, 0x123456));
    const entry = {
      digest: createHash('sha256').update(bytes).digest('hex'),
      format: 'png',
      bytes: bytes.length,
      width: 128,
      height: 128,
      seed: picture!.generation.seed,
      createdMs: 0,
      revision: plan.model.revision,
      promptTokens: 3,
      warnings: [],
    } as const;
    await storePicture(
      bucket as unknown as R2Bucket,
      { cacheKey: picture!.cacheKey, account: 'acme' },
      entry,
      bytes,
    );
    const ask = () =>
      request('/v1/images/generations', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
        body: '{"prompt":"a fox"}',
      });
    // The first one introduces the caller: one look-up, one lease. A job would have been an error.
    expect((await ask()).headers.get('Cache-Status')).toContain('; hit;');
    expect(asked).toBe(2);
    for (let i = 0; i < 10; i += 1) expect((await ask()).status).toBe(200);
    expect(asked).toBe(2);
  });

  test('createApp() gives every answer an id, timings and nosniff, errors too', async () => {
    const { request } = createTestApp();
    for (const path of ['/healthz', '/v1/models', '/nothing', '/v1/nothing', '/i/x']) {
      const { headers } = await request(path);
      expect(headers.get('X-Request-Id'), path).toMatch(/^req_[0-9a-f]{24}$/);
      expect(headers.get('Server-Timing'), path).toMatch(/total;dur=/);
      expect(headers.get('X-Content-Type-Options'), path).toBe('nosniff');
    }
  });

  test('createApp() takes over a caller’s request id only if it is harmless', async () => {
    const { request } = createTestApp();
    const idOf = async (id: string) =>
      (await request('/healthz', { headers: { 'X-Request-Id': id } })).headers.get('X-Request-Id');
    expect(await idOf('abc-123_x.y')).toBe('abc-123_x.y');
    for (const id of ['short', 'x'.repeat(129), 'with space', 'é12345678']) {
      expect(await idOf(id)).toMatch(/^req_/);
    }
  });

  test('createApp() logs one line for a request, without its query', async () => {
    const { request, log } = createTestApp();
    await request('/v1/models?api_key=canary');
    expect(log.filter(({ event }) => event === 'request.completed')).toEqual([
      expect.objectContaining({
        level: 'info',
        path: '/v1/models',
        status: 200,
        key_id: 'anonymous',
      }),
    ]);
    expect(JSON.stringify(log)).not.toContain('canary');
  });

  test('createApp() answers what it did not expect as 500, and keeps the reason to itself', async () => {
    const { request, log } = createTestApp({
      deps: {
        isUpstreamReady: () => Promise.reject(new Error('canary')),
      },
    });
    const response = await request('/readyz');
    const text = await response.text();
    expect([response.status, JSON.parse(text).code]).toEqual([500, 'internal_error']);
    expect(text).not.toContain('canary');
    expect(log.find(({ event }) => event === 'request.failed')).toMatchObject({
      level: 'error',
      causes: ['Error: canary'],
    });
  });

  test('createApp() serves the page’s files, and only by reading', async () => {
    const { request } = createTestApp({
      deps: {
        assets: async (asked) =>
          new URL(asked.url).pathname === '/'
            ? (new Response('<html>', { headers: { 'Content-Type': 'text/html' } }) as never)
            : (new Response('', { status: 404 }) as never),
      },
    });
    const page = await request('/');
    expect([page.status, await page.text()]).toEqual([200, '<html>']);
    expect(page.headers.get('X-Request-Id')).not.toBeNull();
    expect((await request('/style.css')).status).toBe(404);
    expect((await request('/', { method: 'POST' })).status).toBe(405);
  });

  test('createApp() asks the function for its health at most once a second', async () => {
    let asked = 0;
    let nowMs = 0;
    const { request } = createTestApp({
      deps: {
        now: () => nowMs,
        isUpstreamReady: async () => {
          asked += 1;
          return asked > 1;
        },
      },
    });
    expect((await request('/readyz')).status).toBe(503);
    expect((await request('/readyz')).status).toBe(503);
    nowMs = 1000;
    expect((await request('/readyz')).status).toBe(200);
    expect(asked).toBe(2);
  });
});
