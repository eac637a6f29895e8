import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { parseWebhookSecrets, verifyDelivery } from '../../../edge/upstreams/webhook-signature.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const OTHER = `whsec_${Buffer.alloc(32, 8).toString('base64')}`;
const BODY = Buffer.from('{"id":"abc","status":"succeeded"}');
const NOW_SECONDS = 1_750_000_000;

function sign({ secret = SECRET, timestamp = NOW_SECONDS, body = BODY, id = 'msg_1' } = {}) {
  const key = Buffer.from(secret.slice(6), 'base64');
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': `v1,${mac}`,
  };
}

const verify = (headers: Record<string, string>, { body = BODY, secrets = SECRET } = {}) =>
  verifyDelivery(
    { header: (name) => headers[name], body },
    { secrets: parseWebhookSecrets(secrets), nowMs: NOW_SECONDS * 1000 },
  ).catch((error: ServiceError) => error.code);

describe('verifyDelivery()', () => {
  test('verifyDelivery() hands over the id of a genuine delivery', async () => {
    expect(await verify(sign())).toBe('msg_1');
  });

  test('verifyDelivery() takes either secret, and one signature of several, while one is replaced', async () => {
    expect(await verify(sign(), { secrets: `${OTHER},${SECRET}` })).toBe('msg_1');
    const headers = sign();
    const both = `${sign({ secret: OTHER })['webhook-signature']} ${headers['webhook-signature']}`;
    expect(await verify({ ...headers, 'webhook-signature': both })).toBe('msg_1');
  });

  test.each([-300, 300])('verifyDelivery() takes one that is %i s away', async (offset) => {
    expect(await verify(sign({ timestamp: NOW_SECONDS + offset }))).toBe('msg_1');
  });

  test.each([-301, 301, 1_500_000_000 - NOW_SECONDS])(
    'verifyDelivery() refuses one that is %i s away',
    async (offset) => {
      expect(await verify(sign({ timestamp: NOW_SECONDS + offset }))).toBe('clock_skew');
    },
  );

  test('verifyDelivery() refuses the same JSON in other bytes', async () => {
    const body = Buffer.from('{"id": "abc", "status": "succeeded"}');
    expect(await verify(sign(), { body })).toBe('invalid_signature');
  });

  test.each([
    ['another secret', sign({ secret: OTHER })],
    ['no headers', {}],
    ['no signature', { ...sign(), 'webhook-signature': '' }],
    [
      'another version',
      { ...sign(), 'webhook-signature': sign()['webhook-signature'].replace('v1', 'v2') },
    ],
    ['another id', { ...sign(), 'webhook-id': 'msg_2' }],
    ['another time', { ...sign(), 'webhook-timestamp': String(NOW_SECONDS + 1) }],
    ['a time that is none', { ...sign(), 'webhook-timestamp': '1e9' }],
    [
      'half a signature',
      { ...sign(), 'webhook-signature': sign()['webhook-signature'].slice(0, -8) },
    ],
    ['an id with a line end', { ...sign(), 'webhook-id': 'msg_1\n' }],
  ])('verifyDelivery() refuses a delivery with %s', async (_, headers) => {
    expect(await verify(headers as Record<string, string>)).toBe('invalid_signature');
  });

  test('verifyDelivery() refuses every change of one bit of the signature', async () => {
    const headers = sign();
    const mac = Buffer.from(headers['webhook-signature'].slice(3), 'base64');
    for (let bit = 0; bit < mac.length * 8; bit += 1) {
      const changed = Buffer.from(mac);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const signature = `v1,${changed.toString('base64')}`;
      expect(await verify({ ...headers, 'webhook-signature': signature })).toBe(
        'invalid_signature',
      );
    }
  });
});

describe('parseWebhookSecrets()', () => {
  test.each(['', 'whsec_', 'whsec_short', 'whsec_not base64 at all but long enough'])(
    'parseWebhookSecrets() refuses %j',
    (setting) => {
      expect(() => parseWebhookSecrets(setting)).toThrow(RangeError);
    },
  );
});
