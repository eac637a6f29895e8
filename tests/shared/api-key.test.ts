import { describe, expect, test } from 'vitest';
import { API_KEY_ID_PATTERN, createApiKey, parseApiKey } from '#shared/api-key.ts';
import { sha256Hex } from '#shared/hex.ts';

/** Checksum worked out with Python's zlib.crc32. */
const KEY = 'pxe_sk_abcdefghij01_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0yPyBU';

describe('parseApiKey()', () => {
  test('parseApiKey() reads the id of a key', () => {
    expect(parseApiKey(KEY)).toEqual({ id: 'abcdefghij01' });
  });

  test.each([
    '',
    KEY.slice(0, -1),
    `${KEY}0`,
    KEY.replace('0yPyBU', '0yPyBV'),
    KEY.replace('AAAA', 'AAAB'),
    KEY.replace('abcdefghij01', 'abcdefghij02'),
    KEY.replace('pxe_sk', 'pxe_pk'),
    KEY.toLowerCase(),
    ` ${KEY}`,
    `${KEY}\n`,
  ])('parseApiKey(%j) refuses it', (key) => {
    expect(parseApiKey(key)).toBeUndefined();
  });
});

describe('createApiKey()', () => {
  test('createApiKey() makes keys that parse, with the digest that is stored', async () => {
    const made = await createApiKey();
    expect(parseApiKey(made.key)).toEqual({ id: made.id });
    expect(made.id).toMatch(API_KEY_ID_PATTERN);
    expect(made.sha256).toBe(await sha256Hex(made.key));
  });

  test('createApiKey() never makes the same key twice', async () => {
    const keys = await Promise.all(Array.from({ length: 50 }, createApiKey));
    expect(new Set(keys.map(({ key }) => key)).size).toBe(50);
    expect(new Set(keys.map(({ id }) => id)).size).toBe(50);
  });
});
