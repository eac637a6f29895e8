import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { isSigned, signUrl, verifyUrl } from '#shared/signed-url.ts';

const KEY = { id: 'k1', secret: 'a secret of many characters' };
const OTHER = { id: 'k2', secret: 'another one of many characters' };
const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const expires = NOW_MS / 1000 + 600;

function verify(url: string, { keys = [KEY], nowMs = NOW_MS } = {}) {
  const { pathname: path, searchParams: query } = new URL(url);
  return verifyUrl({ path, query }, { keys, nowMs });
}

function codeOf(url: string, options?: { keys?: (typeof KEY)[]; nowMs?: number }) {
  return verify(url, options).then(
    () => 'accepted',
    (error: ServiceError) => error.code,
  );
}

describe('signUrl()', () => {
  test('signUrl() signs what the documents say, in any language', async () => {
    const url = new URL(
      await signUrl('https://x.example/prompt/a%20b?w=3&a=%C3%A9+x', { key: KEY, expires }),
    );
    const text = `GET\n/prompt/a%20b\na=%C3%A9+x&exp=${expires}&kid=k1&w=3`;
    expect(url.searchParams.get('sig')).toBe(
      createHmac('sha256', KEY.secret).update(text).digest('base64url'),
    );
  });

  test('signUrl() replaces a permission that is there', async () => {
    const once = await signUrl('https://x.example/i/a.png', { key: OTHER, expires, scope: 'acme' });
    const twice = await signUrl(once, { key: KEY, expires });
    expect(twice).toBe(await signUrl('https://x.example/i/a.png', { key: KEY, expires }));
  });
});

describe('verifyUrl()', () => {
  test('verifyUrl() says whose key it was, what for and until when', async () => {
    const url = await signUrl('https://x.example/i/a.png', { key: KEY, expires, scope: 'acme' });
    expect(await verify(url)).toEqual({ keyId: 'k1', scope: 'acme', expires });
  });

  test('verifyUrl() accepts the query in any order', async () => {
    const url = new URL(await signUrl('https://x.example/prompt/a?b=1&c=2', { key: KEY, expires }));
    const reversed = new URLSearchParams([...url.searchParams].reverse());
    expect(await codeOf(`${url.origin}${url.pathname}?${reversed}`)).toBe('accepted');
  });

  test('verifyUrl() covers a picture and its variants with a scope, and nothing else', async () => {
    const url = await signUrl('https://x.example/i/abc.png', { key: KEY, expires, scope: 'acme' });
    expect(await codeOf(`${url}&w=30`)).toBe('accepted');
    expect(await codeOf(url.replace('.png', '.webp'))).toBe('accepted');
    expect(await codeOf(url.replace('abc', 'abd'))).toBe('url_signature_invalid');
    expect(await codeOf(url.replace('acme', 'acmf'))).toBe('url_signature_invalid');
  });

  test('verifyUrl() accepts a key until it is taken away', async () => {
    const url = await signUrl('https://x.example/i/a.png', { key: OTHER, expires });
    expect(await codeOf(url, { keys: [KEY, OTHER] })).toBe('accepted');
    expect(await codeOf(url, { keys: [KEY] })).toBe('url_signature_invalid');
    expect(await codeOf(url, { keys: [] })).toBe('url_signature_invalid');
  });

  test('verifyUrl() looks at the time to the second', async () => {
    const url = await signUrl('https://x.example/i/a.png', { key: KEY, expires });
    expect(await codeOf(url, { nowMs: expires * 1000 - 1 })).toBe('accepted');
    expect(await codeOf(url, { nowMs: expires * 1000 })).toBe('url_expired');
    const hourBefore = (expires - 3600) * 1000;
    expect(await codeOf(url, { nowMs: hourBefore - 60_000 })).toBe('accepted');
    expect(await codeOf(url, { nowMs: hourBefore - 60_001 })).toBe('url_signature_invalid');
  });
});

test('isSigned() sees a claim even where half of it is missing', () => {
  expect(isSigned(new URLSearchParams('w=1&key=2'))).toBe(false);
  for (const name of ['exp', 'kid', 'scope', 'sig']) {
    expect(isSigned(new URLSearchParams(`${name}=`))).toBe(true);
  }
});
