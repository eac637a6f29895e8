/** The object of an API key in real workerd: exact budgets, revocation, and staying out of the way. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApiKey } from '../../edge/api-key.ts';
import { type RunningEdge, readJson, startEdge } from '../helpers/edge.ts';

const BURST = 12;
let edge: RunningEdge;
/** A prompt whose picture is in the cache. */
let drawn: string;

beforeAll(async () => {
  // One token a minute: nothing comes back while a test runs.
  edge = await startEdge({ rate: 1, burst: BURST, bindings: { UPSTREAM_IDLE_MS: '60000' } });
});
afterAll(() => edge[Symbol.asyncDispose]());

async function keyObject(name: string): Promise<DurableObjectStub<ApiKey>> {
  const namespace = await edge.worker.miniflare.getDurableObjectNamespace('API_KEY', 'pixart-edge');
  return namespace.get(namespace.idFromName(name)) as unknown as DurableObjectStub<ApiKey>;
}

describe('ApiKey', { timeout: 180_000 }, () => {
  test('ApiKey admits exactly the burst of ten times as many requests at once', async () => {
    const prompts = Array.from({ length: 10 * BURST }, (_, i) => `a snail, number ${i}`);
    const responses = await Promise.all(prompts.map((prompt) => edge.generate({ prompt })));
    const count = (status: number) => responses.filter((it) => it.status === status).length;
    expect({ served: count(200), refused: count(429) }).toEqual({
      served: BURST,
      refused: 9 * BURST,
    });
    drawn = prompts[responses.findIndex(({ status }) => status === 200)]!;
    expect(edge.upstream.received).toHaveLength(BURST);

    const refused = responses.find(({ status }) => status === 429)!;
    const { headers } = refused;
    const body = await readJson(refused);
    expect(body.error).toMatchObject({ type: 'requests', code: 'rate_limit_exceeded' });
    expect(body).toMatchObject({
      code: 'rate_limited',
      retryable: true,
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    });
    expect(headers.get('RateLimit')).toMatch(/^"generation";r=0;t=\d+, "read"/);
    expect(headers.get('RateLimit-Policy')).toMatch(/^"generation";q=12;w=720, "read"/);
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('0');
    expect(headers.get('x-should-retry')).toBe('true');
    const seconds = Number(headers.get('Retry-After'));
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(Math.ceil(Number(headers.get('retry-after-ms')) / 1000)).toBe(seconds);
    const t = Number(/"generation";r=0;t=(\d+)/.exec(headers.get('RateLimit')!)![1]);
    expect(seconds).toBeGreaterThanOrEqual(t - 1);
  });

  test('ApiKey is not charged for what is in the cache', async () => {
    const { id: digest, seed } = (await readJson(await edge.generate({ prompt: drawn }))).data[0];
    // The budget is used up: only a cached answer can come.
    for (let i = 0; i < 5; i += 1) {
      const again = await readJson(await edge.generate({ prompt: drawn }));
      expect(again.data[0]).toMatchObject({ id: digest, seed, cache: 'hit' });
    }
    const view = await (await keyObject(edge.keyId)).generations({ rate: 1, burst: BURST });
    expect(view.remaining).toBe(0);
  });

  test('ApiKey counts on where it was after a restart', async () => {
    const stateDir = await mkdtemp(path.join(tmpdir(), 'pixart-edge-'));
    const bindings = { AUTH_MODE: 'none', GENERATIONS_PER_MINUTE: '1', GENERATIONS_BURST: '5' };
    const remaining: (string | null)[] = [];
    for (const prompt of ['a', 'b']) {
      await using again = await startEdge({ stateDir, bindings });
      const response = await again.generate({ prompt });
      remaining.push(response.headers.get('x-ratelimit-remaining-requests'));
      const { miniflare } = again.worker;
      const keys = await miniflare.getDurableObjectNamespace('API_KEY', 'pixart-edge');
      const stub = keys.get(keys.idFromName('anonymous')) as unknown as DurableObjectStub<ApiKey>;
      await stub.settled();
    }
    expect(remaining).toEqual(['4', '3']);
    await rm(stateDir, { recursive: true, force: true });
  });

  test('ApiKey gives a lease of reads and takes back what was not used', async () => {
    const stub = await keyObject('reader');
    const limits = { rate: 1, burst: 60 };
    expect(await stub.takeReads(limits, { count: 40, unused: 0 })).toMatchObject({
      taken: 40,
      remaining: 20,
    });
    expect(await stub.takeReads(limits, { count: 40, unused: 30 })).toMatchObject({
      taken: 40,
      remaining: 10,
    });
    expect(await stub.takeReads(limits, { count: 40, unused: 1000 })).toMatchObject({
      taken: 40,
      remaining: 20,
    });
  });

  test('ApiKey, once revoked, lets nobody in after two seconds, and starts nothing from then on', async () => {
    const stub = await keyObject(edge.keyId);
    expect((await edge.generate({ prompt: drawn })).status).toBe(200);
    await stub.revoke();
    const revokedMs = performance.now();
    expect(await stub.record()).toBeNull();
    expect(await stub.takeGeneration({ rate: 1, burst: BURST })).toMatchObject({
      taken: 0,
      revoked: true,
    });
    await expect
      .poll(async () => (await edge.generate({ prompt: drawn })).status, {
        timeout: 5000,
        interval: 100,
      })
      .toBe(401);
    expect(performance.now() - revokedMs).toBeLessThan(2600);
  });
});
