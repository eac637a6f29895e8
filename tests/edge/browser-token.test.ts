import { base64url, importJWK, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import {
  createTokenKey,
  parseToken,
  signToken,
  toPublic,
  verifyToken,
} from '../../edge/browser-token.ts';

const KEY_ID = 'abcdefghijkl';
const KID = `${KEY_ID}-1`;
const NOW_S = 1_800_000_000;
const CLAIMS = {
  sub: KEY_ID,
  jti: '0123456789abcdef0123456789abcdef',
  iat: NOW_S,
  exp: NOW_S + 300,
  origins: ['https://ok.example'],
  scopes: ['generate' as const],
  generations: 10,
};

const key = await createTokenKey(KID);
const other = await createTokenKey(KID);
const token = await signToken(key, CLAIMS);

function check(text: string, nowS = NOW_S, untilMs?: number): Promise<string> {
  if (parseToken(text) === undefined) return Promise.resolve('no token');
  const options = { key: { ...toPublic(key), untilMs }, keyId: KEY_ID, nowMs: nowS * 1000 };
  return verifyToken(text, options).then(
    () => 'accepted',
    (error: ServiceError) => error.code,
  );
}

/** A token with whatever head and claims, signed with the right key. */
async function forge(
  claims: Record<string, unknown>,
  head: Record<string, unknown> = {},
): Promise<string> {
  return new SignJWT({ ...CLAIMS, aud: 'pixart-edge', ...claims })
    .setProtectedHeader({ alg: 'EdDSA', kid: KID, ...head } as never)
    .sign(await importJWK(key.jwk, 'EdDSA'));
}

function encode(value: unknown): string {
  return base64url.encode(typeof value === 'string' ? value : JSON.stringify(value));
}

describe('verifyToken()', () => {
  test('verifyToken() hands over what the token may', async () => {
    expect(parseToken(token)).toEqual({ keyId: KEY_ID, kid: KID });
    const options = { key: toPublic(key), keyId: KEY_ID, nowMs: NOW_S * 1000 };
    expect(await verifyToken(token, options)).toEqual({ ...CLAIMS, aud: 'pixart-edge' });
  });

  test('toPublic() holds nothing that could sign', () => {
    expect(JSON.stringify(toPublic(key))).not.toContain(key.jwk.d);
  });

  test('verifyToken() knows the time', async () => {
    expect(await check(token, NOW_S + 299)).toBe('accepted');
    expect(await check(token, NOW_S + 300)).toBe('token_expired');
    expect(await check(token, NOW_S - 5)).toBe('accepted');
    expect(await check(token, NOW_S - 6)).toBe('token_not_yet_valid');
    expect(await check(await forge({ nbf: NOW_S + 60 }))).toBe('token_not_yet_valid');
    expect(await check(await forge({ exp: NOW_S + 301 }))).toBe('invalid_credentials');
    expect(await check(token, NOW_S, NOW_S * 1000)).toBe('invalid_credentials');
    expect(await check(token, NOW_S, NOW_S * 1000 + 1)).toBe('accepted');
  });

  test.each([
    ['no expiry', { exp: undefined }],
    ['no id', { jti: undefined }],
    ['no audience', { aud: undefined }],
    ['another audience', { aud: 'other' }],
    ['ours among several audiences', { aud: ['pixart-edge', 'other'] }],
    ['another key', { sub: 'lkjihgfedcba' }],
    ['no origin', { origins: [] }],
    ['a scope that there is not', { scopes: ['everything'] }],
    ['fewer than no pictures', { generations: -1 }],
  ])('verifyToken() refuses a token with %s', async (_what, claims) => {
    expect(await check(await forge(claims))).toBe('invalid_credentials');
  });

  test('verifyToken() refuses what another key has signed, and what was changed', async () => {
    expect(await check(await signToken(other, CLAIMS))).toBe('invalid_credentials');
    const [head, , signature] = token.split('.');
    const more = encode({ ...CLAIMS, aud: 'pixart-edge', generations: 100 });
    expect(await check(`${head}.${more}.${signature}`)).toBe('invalid_credentials');
  });
});

describe('parseToken()', () => {
  const [head = '', payload = '', signature = ''] = token.split('.');

  test('parseToken() takes one spelling of a token', async () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const last = alphabet.indexOf(signature.at(-1)!);
    // The last character of 64 bytes has four spare bits.
    const others = [1, 2, 3].map((spare) => signature.slice(0, -1) + alphabet[(last & 48) | spare]);
    for (const spelling of [...others, `${signature}=`, `${signature}==`, `${signature} `]) {
      expect([spelling, await check(`${head}.${payload}.${spelling}`)]).toEqual([
        spelling,
        'no token',
      ]);
    }
  });

  test.each([
    ['alg none', { alg: 'none', kid: KID }],
    ['alg None', { alg: 'None', kid: KID }],
    ['alg HS256', { alg: 'HS256', kid: KID }],
    ['no kid', { alg: 'EdDSA' }],
    ['a kid that is a number', { alg: 'EdDSA', kid: 1 }],
    ['a kid that is a path', { alg: 'EdDSA', kid: '../../key' }],
    ['a kid that is long', { alg: 'EdDSA', kid: 'a'.repeat(1024) }],
    ['a key of its own', { alg: 'EdDSA', kid: KID, jwk: {} }],
    ['an address of a key', { alg: 'EdDSA', kid: KID, jku: 'https://evil.example' }],
    ['a certificate', { alg: 'EdDSA', kid: KID, x5u: 'https://evil.example' }],
    ['extensions', { alg: 'EdDSA', kid: KID, crit: ['b64'] }],
  ])('parseToken() refuses %s', (_what, header) => {
    expect(parseToken(`${encode(header)}.${payload}.${signature}`)).toBeUndefined();
  });

  test.each([
    ['claims that appear twice', `{"sub":"${KEY_ID}","sub":"${KEY_ID}"}`],
    ['claims that nest', '['.repeat(100) + ']'.repeat(100)],
    ['claims that are no object', '[]'],
    ['claims that are long', JSON.stringify({ x: 'y'.repeat(2000) })],
  ])('parseToken() refuses %s', (_what, claims) => {
    expect(parseToken(`${head}.${encode(claims)}.${signature}`)).toBeUndefined();
  });

  test('parseToken() refuses what is no token at all', () => {
    for (const text of ['', '..', 'a.b', 'a.b.c', `${token}.x`, 'pxe_sk_x']) {
      expect(parseToken(text)).toBeUndefined();
    }
  });
});
