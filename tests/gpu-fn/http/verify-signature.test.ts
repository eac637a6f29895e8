import { describe, expect, it } from 'vitest';
import { signRequest } from '#shared/signature.ts';
import { createSignatureVerifier } from '../../../gpu-fn/http/verify-signature.ts';

const OLD = { id: 'old', secret: 'a-secret-of-many-characters' };
const NEW = { id: 'new', secret: 'another-secret-of-many-chars' };
const REQUEST = { method: 'POST', path: '/predictions', body: new Uint8Array([1]) };

describe('createSignatureVerifier()', () => {
  it.each([OLD, NEW])('accepts each of its keys while one replaces the other: $id', async (key) => {
    const verifier = createSignatureVerifier({ keys: [OLD, NEW], now: () => 1000 });
    const headers = await signRequest(REQUEST, { key, nowMs: 1000 });
    await expect(verifier.verify(REQUEST, (name) => headers[name])).resolves.toBeUndefined();
  });

  it('remembers nonces over all its requests', async () => {
    const verifier = createSignatureVerifier({ keys: [OLD], now: () => 1000 });
    const headers = await signRequest(REQUEST, { key: OLD, nowMs: 1000 });
    await verifier.verify(REQUEST, (name) => headers[name]);
    await expect(verifier.verify(REQUEST, (name) => headers[name])).rejects.toMatchObject({
      code: 'replayed',
    });
  });

  it('prechecks that all four headers are there', async () => {
    const verifier = createSignatureVerifier({ keys: [OLD], now: () => 1000 });
    const headers = await signRequest(REQUEST, { key: OLD, nowMs: 1000 });
    verifier.precheck((name) => headers[name]);
    for (const missing of Object.keys(headers)) {
      expect(() =>
        verifier.precheck((name) => (name === missing ? undefined : headers[name])),
      ).toThrow('must be signed');
    }
  });
});
