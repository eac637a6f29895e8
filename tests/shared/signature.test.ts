import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { NonceStore, parseSigningKeys, signRequest, verifyRequest } from '#shared/signature.ts';

const key = { id: 'k1', secret: 'a secret of sixteen or more' };
const nowMs = 1_700_000_000_000;
const request = {
  method: 'POST',
  path: '/predictions?x=1',
  body: new TextEncoder().encode('{"input":{}}'),
};

/** A request signed by Python's hmac over the seven lines typed by hand. */
const signedElsewhere: Record<string, string> = {
  'Pixart-Key-Id': 'k1',
  'Pixart-Timestamp': '1700000000000',
  'Pixart-Nonce': '00000000000000000000000000000001',
  'Pixart-Signature': '70b84c3b6e219cc7308307bf465acdf88904a7b02421158c98b332fcb3ea3aa9',
};

function verify(
  headers: Record<string, string>,
  { at = nowMs, nonces = new NonceStore(), signed = request, keys = [key] } = {},
): Promise<string> {
  return verifyRequest(signed, {
    header: (name) => headers[name],
    keys,
    nonces,
    nowMs: at,
  }).then(
    () => 'accepted',
    (error: ServiceError) => error.code,
  );
}

describe('verifyRequest()', () => {
  test('verifyRequest() accepts what another implementation signed', async () => {
    expect(await verify(signedElsewhere)).toBe('accepted');
  });

  test('verifyRequest() accepts what signRequest() signed, once', async () => {
    const headers = await signRequest(request, { key, nowMs });
    const nonces = new NonceStore();
    expect(await verify(headers, { nonces })).toBe('accepted');
    expect(await verify(headers, { nonces })).toBe('replayed');
  });

  test('verifyRequest() refuses another method, path, query, body or key', async () => {
    const refused = [
      { ...request, method: 'PUT' },
      { ...request, path: '/predictions' },
      { ...request, path: '/predictions?x=2' },
      { ...request, body: new TextEncoder().encode('{"input":{} }') },
    ];
    for (const signed of refused) {
      expect(await verify(signedElsewhere, { signed })).toBe('invalid_signature');
    }
    const keys = [{ id: 'k1', secret: 'a secret of sixteen or MORE' }];
    expect(await verify(signedElsewhere, { keys })).toBe('invalid_signature');
    expect(await verify(signedElsewhere, { keys: [{ ...key, id: 'k2' }] })).toBe(
      'invalid_signature',
    );
  });

  test('verifyRequest() takes clocks that differ by 60 s and refuses 1 ms more', async () => {
    for (const difference of [-60_000, 60_000]) {
      expect(await verify(signedElsewhere, { at: nowMs + difference })).toBe('accepted');
      expect(
        await verify(signedElsewhere, { at: nowMs + difference + Math.sign(difference) }),
      ).toBe('clock_skew');
    }
  });

  test.each([
    ['Pixart-Signature', signedElsewhere['Pixart-Signature']!.slice(0, 62)],
    ['Pixart-Signature', signedElsewhere['Pixart-Signature']!.toUpperCase()],
    ['Pixart-Signature', 'cLhMO24hnMcwgwe/RlrN+IkEp7AkIRWMmLMy/LPqOqk='],
    ['Pixart-Signature', ''],
    ['Pixart-Timestamp', '1700000000000.0'],
    ['Pixart-Timestamp', '-1'],
    ['Pixart-Timestamp', '1700000000001'],
    ['Pixart-Nonce', '00000000000000000000000000000002'],
    ['Pixart-Nonce', ''],
    ['Pixart-Key-Id', 'nobody'],
  ])('verifyRequest() refuses %s: %j', async (name, value) => {
    expect(await verify({ ...signedElsewhere, [name]: value })).toBe('invalid_signature');
  });

  test('verifyRequest() lets a bad signature use up no nonce', async () => {
    const nonces = new NonceStore();
    await verify({ ...signedElsewhere, 'Pixart-Signature': '0'.repeat(64) }, { nonces });
    expect(nonces.size).toBe(0);
  });
});

describe('NonceStore', () => {
  test('NonceStore.use() refuses when full and forgets only what has expired', () => {
    const nonces = new NonceStore(2);
    nonces.use('a', 0);
    nonces.use('b', 1000);
    expect(() => nonces.use('c', 119_999)).toThrow('2 nonces');
    expect(() => nonces.use('a', 119_999)).toThrow('before');
    nonces.use('c', 120_000);
    expect(nonces.size).toBe(2);
    expect(() => nonces.use('b', 120_000)).toThrow('before');
  });
});

describe('parseSigningKeys()', () => {
  test('parseSigningKeys() reads several keys, and a bare secret', () => {
    expect(parseSigningKeys('new:0123456789abcdef, old:fedcba9876543210')).toEqual([
      { id: 'new', secret: '0123456789abcdef' },
      { id: 'old', secret: 'fedcba9876543210' },
    ]);
    expect(parseSigningKeys('0123456789abcdef')).toEqual([
      { id: 'default', secret: '0123456789abcdef' },
    ]);
  });

  test.each(['', 'k:short', ':0123456789abcdef', 'a b:0123456789abcdef', '0123456789abcdef,'])(
    'parseSigningKeys(%j) throws without repeating the secret',
    (setting) => {
      expect(() => parseSigningKeys(setting)).toThrow(RangeError);
      expect(() => parseSigningKeys(setting)).not.toThrow('0123456789abcdef');
    },
  );
});
