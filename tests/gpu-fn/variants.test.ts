/** `POST /variants` over HTTP. */
import { createHash } from 'node:crypto';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signRequest } from '#shared/signature.ts';
import { type RunningFunction, startFunction } from '../helpers/gpu-function.ts';

const KEY = { id: 'edge', secret: 'a-secret-of-many-characters' };
let fn: RunningFunction;
let picture: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  fn = await startFunction({ env: { GPU_SIGNING_KEY: `${KEY.id}:${KEY.secret}` } });
  const image = sharp({ create: { width: 64, height: 32, channels: 3, background: '#0a5' } });
  picture = new Uint8Array(await image.png().toBuffer());
});
afterAll(() => fn[Symbol.asyncDispose]());

async function send(query: string, { body = picture, signed = true } = {}): Promise<Response> {
  const path = `/variants?${query}`;
  const headers = signed
    ? await signRequest({ method: 'POST', path, body }, { key: KEY, nowMs: Date.now() })
    : {};
  return fetch(fn.origin + path, { method: 'POST', body, headers });
}

describe('POST /variants', () => {
  it('answers with the file and its digest', async () => {
    const response = await send('fit=cover&format=webp&h=16&q=70&w=16');
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(response.status).toBe(200);
    expect(response.headers.get('Content-Type')).toBe('image/webp');
    expect(response.headers.get('Content-Digest')).toBe(
      `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`,
    );
    expect(await sharp(bytes).metadata()).toMatchObject({ format: 'webp', width: 16, height: 16 });
    expect(await fn.metric('variants_total{format="webp"}')).toBe(1);
  });

  it('does nothing without a signature, nor for a query that was changed', async () => {
    expect((await send('format=png&w=8', { signed: false })).status).toBe(401);
    const path = '/variants?format=png&w=8';
    const headers = await signRequest(
      { method: 'POST', path, body: picture },
      { key: KEY, nowMs: Date.now() },
    );
    const changed = await fetch(`${fn.origin}/variants?format=png&w=9`, {
      method: 'POST',
      body: picture,
      headers,
    });
    expect(changed.status).toBe(401);
  });

  it.each(['format=svg&w=8', 'w=8', 'format=png&w=0', 'format=png&w=8&w=8'])(
    'refuses the query %s',
    async (query) => {
      const response = await send(query);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ code: 'invalid_query', status: 'failed' });
    },
  );

  it('refuses a body that is no picture, and lives on', async () => {
    const response = await send('format=png&w=8', { body: new Uint8Array(100) });
    expect(response.status).toBe(422);
    expect((await send('format=png&w=8')).status).toBe(200);
  });
});
