/** `/i/{digest}.{ext}` in real workerd. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningEdge, readJson, startEdge } from '../../helpers/edge.ts';

let edge: RunningEdge;
let url: string;
let bytes: Buffer;
let digest: string;

beforeAll(async () => {
  edge = await startEdge();
  const { data } = await readJson(
    await edge.generate({ prompt: 'a tree', response_format: 'url' }),
  );
  url = data[0].url;
  digest = data[0].id;
  bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
});
afterAll(() => edge[Symbol.asyncDispose]());

const get = (headers: Record<string, string>, method = 'GET') => fetch(url, { headers, method });

describe('images', () => {
  test('images are served under the digest of their bytes, for ever', async () => {
    const response = await get({});
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(digest);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'accept-ranges': 'bytes',
      'access-control-allow-origin': '*',
      'cache-control': 'public, max-age=31536000, immutable',
      'content-digest': `sha-256=:${Buffer.from(digest, 'hex').toString('base64')}:`,
      'content-disposition': `inline; filename="${digest.slice(0, 16)}.png"`,
      'content-length': String(bytes.length),
      'content-security-policy': "default-src 'none'; sandbox",
      'content-type': 'image/png',
      'cross-origin-resource-policy': 'cross-origin',
      etag: `"${digest}"`,
      'x-content-type-options': 'nosniff',
    });
    expect(response.headers.get('Vary')).toBeNull();
  });

  test('images answer HEAD with the headers of GET and no body', async () => {
    const [full, head] = await Promise.all([get({}), get({}, 'HEAD')]);
    const comparable = (response: Response) =>
      [...response.headers].filter(
        ([name]) => !/^(x-request-id|server-timing|connection|keep-alive)$/.test(name),
      );
    expect(comparable(head)).toEqual(comparable(full));
    expect((await head.arrayBuffer()).byteLength).toBe(0);
  });

  test.each([
    ['If-None-Match', () => `"${digest}"`, 304],
    ['If-None-Match', () => `W/"${digest}"`, 304],
    ['If-None-Match', () => `"x", "${digest}"`, 304],
    ['If-None-Match', () => '*', 304],
    ['If-None-Match', () => '"x"', 200],
    ['If-None-Match', () => digest, 200],
    ['If-Modified-Since', () => new Date(Date.now() + 1000).toUTCString(), 304],
    ['If-Modified-Since', () => new Date(0).toUTCString(), 200],
    ['If-Modified-Since', () => 'yesterday', 200],
  ])('images, %s: case %#', async (name, value, status) => {
    const response = await get({ [name]: value() });
    expect(response.status).toBe(status);
    expect(response.headers.get('ETag')).toBe(`"${digest}"`);
    if (status === 304) expect(await response.text()).toBe('');
  });

  test('images look at If-None-Match before If-Modified-Since', async () => {
    const later = new Date(Date.now() + 1000).toUTCString();
    expect((await get({ 'If-None-Match': '"x"', 'If-Modified-Since': later })).status).toBe(200);
  });

  test.each([
    ['bytes=0-3', 0, 3],
    ['bytes=10-10', 10, 10],
    ['bytes=10-', 10, -1],
    ['bytes=-7', -7, -1],
    ['bytes=0-99999', 0, -1],
    ['bytes=-99999', 0, -1],
  ])('images answer Range: %s with that part', async (range, from, to) => {
    const response = await get({ Range: range });
    const size = bytes.length;
    const first = from < 0 ? size + from : from;
    const last = to < 0 ? size - 1 : to;
    expect(response.status).toBe(206);
    expect(response.headers.get('Content-Range')).toBe(`bytes ${first}-${last}/${size}`);
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes.subarray(first, last + 1));
  });

  test.each(['bytes=99999-', 'bytes=99999-100000', 'bytes=-0'])(
    'images answer Range: %s with 416 and their size',
    async (range) => {
      const response = await get({ Range: range });
      expect(response.status).toBe(416);
      expect(response.headers.get('Content-Range')).toBe(`bytes */${bytes.length}`);
    },
  );

  test.each(['bytes=5-2', 'bytes=0-1,3-4', 'bytes=', 'bytes=-', 'items=0-1', 'bytes=a-b'])(
    'images answer Range: %s with everything',
    async (range) => {
      const response = await get({ Range: range });
      expect([response.status, (await response.arrayBuffer()).byteLength]).toEqual([
        200,
        bytes.length,
      ]);
    },
  );

  test('images answer a range only if If-Range is theirs', async () => {
    const Range = 'bytes=0-3';
    expect((await get({ Range, 'If-Range': `"${digest}"` })).status).toBe(206);
    expect((await get({ Range, 'If-Range': '"other"' })).status).toBe(200);
    expect((await get({ Range, 'If-Range': `W/"${digest}"` })).status).toBe(200);
  });

  test('images are not served under the extension of another format', async () => {
    for (const extension of ['jpg', 'jpeg', 'webp']) {
      expect((await fetch(url.replace(/png$/, extension))).status).toBe(404);
    }
  });

  test('images ignore a query that they do not know', async () => {
    expect((await fetch(`${url}?cache=bust`)).status).toBe(200);
  });
});
