/** `/i/{digest}.{ext}` in real workerd. */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import sharp from 'sharp';
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

  test.each([
    ['"x"', 412],
    [() => `W/"${digest}"`, 412],
    ['*', 200],
    [() => `"x", "${digest}"`, 200],
  ])('images, If-Match: case %#', async (value, status) => {
    const match = typeof value === 'string' ? value : value();
    expect((await get({ 'If-Match': match })).status).toBe(status);
  });

  test.each(['no-cache', 'no-store', 'max-age=0', 'only-if-cached'])(
    'images make nobody work for Cache-Control: %s',
    async (value) => {
      const before = edge.upstream.received.length;
      expect((await get({ 'Cache-Control': value, Pragma: 'no-cache' })).status).toBe(200);
      expect(edge.upstream.received).toHaveLength(before);
    },
  );

  test('images are one file whatever is accepted', async () => {
    for (const Accept of ['text/html', 'image/avif', '*/*;q=0']) {
      const response = await get({ Accept });
      expect([response.status, response.headers.get('Content-Type')]).toEqual([200, 'image/png']);
    }
  });

  test('images ignore a query that they do not know', async () => {
    const response = await fetch(`${url}?cache=bust&fm=svg`);
    expect([response.status, response.headers.get('ETag')]).toEqual([200, `"${digest}"`]);
  });
});

describe('images, variants', () => {
  const variant = (query: string, extension = 'png', init: RequestInit = {}) =>
    fetch(`${url.replace(/png$/, extension)}${query === '' ? '' : `?${query}`}`, init);
  const describeFile = async (response: Response) => {
    const { format, width, height } = await sharp(await response.arrayBuffer()).metadata();
    return { format, width, height };
  };
  const madeWith = async (work: () => Promise<unknown>) => {
    const before = edge.upstream.variants.length;
    await work();
    return edge.upstream.variants.slice(before);
  };

  test.each([
    ['w=32', 'png', { format: 'png', width: 32, height: 32 }],
    ['w=32&h=16&fit=cover', 'webp', { format: 'webp', width: 32, height: 16 }],
    ['h=20&w=50', 'jpg', { format: 'jpeg', width: 20, height: 20 }],
    ['w=2048', 'jpeg', { format: 'jpeg', width: 128, height: 128 }],
    ['', 'webp', { format: 'webp', width: 128, height: 128 }],
  ])('images make the variant "%s" as %s', async (query, extension, file) => {
    const response = await variant(query, extension);
    expect(response.status).toBe(200);
    expect(response.headers.get('Content-Type')).toBe(`image/${file.format}`);
    expect(response.headers.get('Cache-Control')).toBe('public, max-age=31536000, immutable');
    expect(response.headers.get('ETag')).toMatch(new RegExp(`^"${digest}-[0-9a-f]{8}"$`));
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('*');
    expect(await describeFile(response)).toEqual(file);
  });

  test('images make each variant once, however its query is spelled and however many ask', async () => {
    const open = Promise.withResolvers<void>();
    edge.upstream.beforeVariant = () => open.promise;
    const made = await madeWith(async () => {
      const spellings = ['w=40&h=30', 'h=30&w=40', 'h=30&fit=contain&w=40&q=9', 'w=40&h=30&cb=7'];
      const asked = [...spellings, ...spellings].map((query) => variant(query));
      await edge.upstream.when(() => edge.upstream.variants.at(-1)?.includes('w=40') === true);
      open.resolve();
      const responses = await Promise.all(asked);
      expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200]));
      expect(new Set(responses.map(({ headers }) => headers.get('ETag'))).size).toBe(1);
      const bodies = await Promise.all(responses.map((response) => response.arrayBuffer()));
      expect(new Set(bodies.map((body) => Buffer.from(body).toString('hex'))).size).toBe(1);
    });
    edge.upstream.beforeVariant = () => undefined;
    expect(made).toEqual(['fit=contain&format=png&h=30&w=40']);
  });

  test('images answer HEAD, ranges and conditions for variants too', async () => {
    const full = await variant('w=48', 'webp');
    const size = Number(full.headers.get('Content-Length'));
    const etag = full.headers.get('ETag')!;
    const head = await variant('w=48', 'webp', { method: 'HEAD' });
    expect([head.status, Number(head.headers.get('Content-Length'))]).toEqual([200, size]);
    expect(head.headers.get('Content-Digest')).toBe(full.headers.get('Content-Digest'));
    const part = await variant('w=48', 'webp', { headers: { Range: 'bytes=0-3' } });
    expect([part.status, await part.text()]).toEqual([206, 'RIFF']);
    for (const [tag, status] of [
      [etag, 304],
      [`"${digest}"`, 200],
    ] as const) {
      const again = await variant('w=48', 'webp', { headers: { 'If-None-Match': tag } });
      expect(again.status).toBe(status);
    }
  });

  test.each(['w=0', 'w=2049', 'w=999999&fmt=svg', 'h=-1', 'q=101', 'fit=fill', 'w=1&w=1', 'w=1.5'])(
    'images refuse the query %s and keep nothing of it',
    async (query) => {
      const made = await madeWith(async () => {
        const response = await variant(query, 'webp');
        expect([response.status, response.headers.get('Cache-Control')]).toEqual([400, 'no-store']);
        expect(await readJson(response)).toMatchObject({ code: 'invalid_query' });
      });
      expect(made).toEqual([]);
    },
  );

  test('images have no variants of what they do not have', async () => {
    const made = await madeWith(async () => {
      const response = await fetch(`${edge.url}/i/${'a'.repeat(64)}.webp?w=8`);
      expect([response.status, response.headers.get('Cache-Control')]).toEqual([
        404,
        'public, max-age=5',
      ]);
    });
    expect(made).toEqual([]);
  });

  test('images serve originals and stored variants while the function is down, and new ones after', async () => {
    const stored = Buffer.from(await (await variant('w=56')).arrayBuffer());
    await edge.upstream.kill();
    try {
      expect((await get({})).status).toBe(200);
      expect(Buffer.from(await (await variant('w=56')).arrayBuffer())).toEqual(stored);
      const response = await variant('w=57');
      expect([response.status, response.headers.get('Cache-Control')]).toEqual([503, 'no-store']);
      expect(await readJson(response)).toMatchObject({ code: 'upstream_lost', retryable: true });
    } finally {
      await edge.upstream.revive();
    }
    expect((await variant('w=57')).status).toBe(200);
  });

  test.each([
    ['busy', (r: ServerResponse) => r.writeHead(409).end('{}'), 503, 'overloaded'],
    ['no picture', (r: ServerResponse) => r.end('nothing'), 502, 'upstream_invalid_response'],
    ['another digest', (r: ServerResponse) => answerWith(r, bytes), 502, 'upstream_mismatch'],
  ])('images pass nothing on that is %s', async (name, before, status, code) => {
    edge.upstream.beforeVariant = (response) => void before(response);
    const query = `w=${1060 + name.length}`;
    const response = await variant(query);
    edge.upstream.beforeVariant = () => undefined;
    expect(response.status).toBe(status);
    expect(await readJson(response)).toMatchObject({ code });
    expect((await variant(query)).status).toBe(200);
  });

  test('images have variants of one picture made at a limited pace', async () => {
    const { data } = await readJson(
      await edge.generate({ prompt: 'a hill', response_format: 'url' }),
    );
    edge.upstream.beforeVariant = (response) => void response.writeHead(503).end('{}');
    const widths = Array.from({ length: 110 }, (_, i) => i + 1);
    const responses = await Promise.all(widths.map((w) => fetch(`${data[0].url}?w=${w}`)));
    edge.upstream.beforeVariant = () => undefined;
    const refused = responses.filter(({ status }) => status === 429);
    expect(responses.filter(({ status }) => status === 503).length).toBeGreaterThanOrEqual(64);
    expect(refused.length).toBeGreaterThan(0);
    for (const { headers } of refused)
      expect(Number(headers.get('Retry-After'))).toBeGreaterThan(0);
  });
});

/** The file under the digest of something else. */
function answerWith(response: ServerResponse, file: Buffer): void {
  response.writeHead(200, { 'Content-Digest': `sha-256=:${'A'.repeat(43)}=:` }).end(file);
}
