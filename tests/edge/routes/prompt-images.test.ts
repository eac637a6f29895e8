/** `/prompt/{text}` in real workerd. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { signUrl } from '#shared/signed-url.ts';
import { type RunningEdge, readJson, startEdge } from '../../helpers/edge.ts';

const OLD = { id: 'old', secret: 'an older secret of the operator' };
const NEW = { id: 'new', secret: 'a newer secret of the operator' };
let edge: RunningEdge;

beforeAll(async () => {
  edge = await startEdge({
    bindings: {
      URL_SIGNING_KEYS: `${NEW.id}:${NEW.secret},${OLD.id}:${OLD.secret}`,
      GENERATIONS_PER_MINUTE: '1',
      GENERATIONS_BURST: '40',
    },
  });
});
afterAll(() => edge[Symbol.asyncDispose]());
beforeEach(() => {
  edge.upstream.received.length = 0;
});

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;
const sign = (target: string, { key = NEW, expires = inSeconds(600) } = {}) =>
  signUrl(edge.url + target, { key, expires });
const codeOf = async (response: Response) => (await readJson(response)).code;

describe('prompt images', () => {
  test('prompt images are drawn when they are asked for the first time, and never again', async () => {
    const url = await sign('/prompt/a%20red%20kite%2Fon%20a%20string?seed=7');
    const first = await fetch(url);
    const bytes = Buffer.from(await first.arrayBuffer());
    expect(first.status).toBe(200);
    expect(Object.fromEntries(first.headers)).toMatchObject({
      'access-control-allow-origin': '*',
      'cache-control': 'public, max-age=86400, stale-while-revalidate=604800',
      'content-length': String(bytes.length),
      'content-security-policy': "default-src 'none'; sandbox",
      'content-type': 'image/png',
      'cross-origin-resource-policy': 'cross-origin',
      'x-content-type-options': 'nosniff',
    });
    expect(first.headers.get('Cache-Status')).toMatch(/^pixart-edge; fwd=miss; key=/);
    expect(edge.upstream.received[0]?.input).toMatchObject({
      prompt: 'a red kite/on a string',
      seed: 7,
      width: 128,
    });
    const location = first.headers.get('Content-Location')!;
    expect(location).toMatch(/^\/i\/[0-9a-f]{64}\.png$/);
    expect(first.headers.get('ETag')).toBe(`"${location.slice(3, 67)}"`);
    const original = await fetch(edge.url + location);
    expect(Buffer.from(await original.arrayBuffer())).toEqual(bytes);

    const second = await fetch(await sign('/prompt/a%20red%20kite%2Fon%20a%20string?seed=7&cb=1'));
    expect(second.headers.get('Cache-Status')).toMatch(/^pixart-edge; hit; key=/);
    expect(Buffer.from(await second.arrayBuffer())).toEqual(bytes);
    expect(edge.upstream.received).toHaveLength(1);
  });

  test('prompt images answer HEAD with the headers of GET, conditions and ranges', async () => {
    const url = await sign('/prompt/a%20boat');
    const head = await fetch(url, { method: 'HEAD' });
    const full = await fetch(url);
    for (const name of ['ETag', 'Content-Length', 'Content-Location', 'Cache-Control']) {
      expect(head.headers.get(name), name).toBe(full.headers.get(name));
    }
    expect((await head.arrayBuffer()).byteLength).toBe(0);
    const etag = full.headers.get('ETag')!;
    expect((await fetch(url, { headers: { 'If-None-Match': etag } })).status).toBe(304);
    expect((await fetch(url, { headers: { Range: 'bytes=0-0' } })).status).toBe(206);
    expect(edge.upstream.received).toHaveLength(1);
  });

  test.each(['no-cache', 'no-store', 'max-age=0'])(
    'prompt images make nobody work again for Cache-Control: %s',
    async (value) => {
      const url = await sign('/prompt/a%20lamp');
      expect((await fetch(url)).status).toBe(200);
      edge.upstream.received.length = 0;
      const again = await fetch(url, { headers: { 'Cache-Control': value, Pragma: 'no-cache' } });
      expect(again.status).toBe(200);
      expect(edge.upstream.received).toHaveLength(0);
    },
  );

  test('prompt images are not drawn for who wants only what is cached', async () => {
    const headers = { 'Cache-Control': 'only-if-cached' };
    const response = await fetch(await sign('/prompt/a%20new%20thing'), { headers });
    expect([response.status, await codeOf(response)]).toEqual([504, 'not_cached']);
    expect(edge.upstream.received).toHaveLength(0);
  });

  test('prompt images share pictures with everyone who draws in public', async () => {
    await fetch(await sign('/prompt/a%20public%20bench'));
    const { data } = await readJson(
      await edge.generate({ prompt: 'a public bench', visibility: 'public' }),
    );
    expect(data[0].cache).toBe('hit');
    const own = await readJson(await edge.generate({ prompt: 'a public bench' }));
    expect(own.data[0].cache).toBe('miss');
  });

  test('prompt images take the members of a request from the query', async () => {
    const query =
      'width=64&height=128&steps=2&fm=png&model=pixart-edge%2Fstickers-nano&q=50&safe=1';
    expect((await fetch(await sign(`/prompt/a%20cup?${query}`))).status).toBe(200);
    expect(edge.upstream.received[0]?.input).toMatchObject({
      width: 64,
      height: 128,
      num_inference_steps: 2,
      output_format: 'png',
    });
  });

  test.each([
    ['/prompt/%20', 422, 'prompt_empty'],
    [`/prompt/${'a'.repeat(2001)}`, 422, 'prompt_too_long'],
    ['/prompt/%ff', 400, 'invalid_path'],
    ['/prompt/a?seed=x', 400, 'invalid_query'],
    ['/prompt/a?seed=4294967296', 422, 'invalid_parameter'],
    ['/prompt/a?seed=1&seed=2', 400, 'invalid_query'],
    ['/prompt/a?steps=9', 422, 'invalid_parameter'],
    ['/prompt/a?width=65&height=64', 422, 'invalid_parameter'],
    ['/prompt/a?fm=svg', 400, 'invalid_query'],
    ['/prompt/a?q=0', 400, 'invalid_query'],
    ['/prompt/a?private=true', 400, 'invalid_query'],
    ['/prompt/a?image=https://x.example/y.png', 400, 'invalid_query'],
    ['/prompt/a?model=nobody/nothing', 404, 'model_not_found'],
  ])('prompt images refuse %s', async (target, status, code) => {
    const response = await fetch(await sign(target));
    expect([response.status, await codeOf(response)]).toEqual([status, code]);
    expect(response.headers.get('Cache-Control')).toBe('no-store');
    expect(edge.upstream.received).toHaveLength(0);
  });

  test('prompt images are drawn for who has a key', async () => {
    const url = `${edge.url}/prompt/a%20key`;
    const none = await fetch(url);
    expect([none.status, await codeOf(none)]).toEqual([401, 'missing_credentials']);
    expect(none.headers.get('Cache-Control')).toBe('no-store');
    const headers = { Authorization: `Bearer ${edge.key}` };
    expect((await fetch(url, { headers })).status).toBe(200);
  });

  test('prompt images accept both keys while one replaces the other', async () => {
    for (const key of [OLD, NEW]) {
      expect((await fetch(await sign('/prompt/a%20door', { key }))).status).toBe(200);
    }
  });

  test.each([
    ['of another key', (url: URL) => url.searchParams.set('kid', OLD.id)],
    ['of no key', (url: URL) => url.searchParams.set('kid', 'nobody')],
    ['for another prompt', (url: URL) => Object.assign(url, { pathname: `${url.pathname}!` })],
    ['for another seed', (url: URL) => url.searchParams.set('seed', '2')],
    ['with a member more', (url: URL) => url.searchParams.set('steps', '2')],
    ['for a later time', (url: URL) => url.searchParams.set('exp', String(inSeconds(900)))],
    ['with an octal time', (url: URL) => change(url, 'exp', (exp) => `0${exp}`)],
    ['with a time in words', (url: URL) => url.searchParams.set('exp', '1e10')],
    ['with a negative time', (url: URL) => change(url, 'exp', (exp) => `-${exp}`)],
    ['with two times', (url: URL) => url.searchParams.append('exp', String(inSeconds(900)))],
    ['without a time', (url: URL) => url.searchParams.delete('exp')],
    ['cut off', (url: URL) => change(url, 'sig', (sig) => sig.slice(0, -1))],
    ['with padding', (url: URL) => change(url, 'sig', (sig) => `${sig}=`)],
    ['in another spelling', (url: URL) => change(url, 'sig', respell)],
    ['twice', (url: URL) => url.searchParams.append('sig', url.searchParams.get('sig')!)],
    ['that is missing', (url: URL) => url.searchParams.delete('sig')],
    ['with a scope', (url: URL) => url.searchParams.set('scope', 'default')],
  ])('prompt images refuse a signature %s', async (_, alter) => {
    const url = new URL(await sign('/prompt/a%20lock?seed=1'));
    alter(url);
    const response = await fetch(url, { headers: { Authorization: `Bearer ${edge.key}` } });
    expect([response.status, await codeOf(response)]).toEqual([403, 'url_signature_invalid']);
    expect(edge.upstream.received).toHaveLength(0);
  });

  test('prompt images refuse a signature that is too old or reaches too far', async () => {
    for (const [seconds, code] of [
      [-1, 'url_expired'],
      [-315_360_000, 'url_expired'],
      [3700, 'url_signature_invalid'],
      [315_360_000, 'url_signature_invalid'],
    ] as const) {
      const response = await fetch(await sign('/prompt/a', { expires: inSeconds(seconds) }));
      expect([response.status, await codeOf(response)]).toEqual([403, code]);
    }
  });

  test('prompt images of signed URLs are drawn from one budget, and hits cost nothing', async () => {
    const statuses = new Map<number, number>();
    const targets = Array.from({ length: 45 }, (_, i) => `/prompt/budget?seed=${i}`);
    for (const target of targets) {
      const response = await fetch(await sign(target));
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      if (response.status === 429) {
        expect(await codeOf(response)).toBe('rate_limited');
        expect(response.headers.get('Cache-Control')).toBe('no-store');
      }
    }
    expect(statuses.get(429)).toBeGreaterThan(0);
    expect((await fetch(await sign(targets[0]!))).status).toBe(200);
  });
});

function change(url: URL, name: string, alter: (value: string) => string): void {
  url.searchParams.set(name, alter(url.searchParams.get(name) ?? ''));
}

/** The same 32 bytes: the last character carries two bits that nobody reads. */
function respell(sig: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return sig.slice(0, -1) + alphabet[alphabet.indexOf(sig.at(-1)!) + 1];
}
