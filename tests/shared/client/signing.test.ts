import { describe, expect, it } from 'vitest';
import { signUrl } from '#shared/client/signing.ts';
import { verifyUrl } from '#shared/signed-url.ts';

const SECRET = 'a secret for the tests';
const KEYS = [{ id: 'site', secret: SECRET }];

function verify(url: string, nowMs = Date.now()) {
  const { pathname: path, searchParams: query } = new URL(url);
  return verifyUrl({ path, query }, { keys: KEYS, nowMs });
}

describe('signUrl()', () => {
  const sign = (url: string, expiresInSeconds?: number) =>
    signUrl(url, { keyId: 'site', secret: SECRET, expiresInSeconds });

  it('makes what the service accepts, for an hour by default', async () => {
    const url = await sign('https://edge.test/prompt/a%2Fb?seed=7&fm=webp');
    expect(url).toMatch(
      /^https:\/\/edge\.test\/prompt\/a%2Fb\?seed=7&fm=webp&exp=\d+&kid=site&sig=/,
    );
    expect(await verify(url)).toMatchObject({ keyId: 'site' });
    await expect(verify(url, Date.now() + 3_601_000)).rejects.toMatchObject({
      code: 'url_expired',
    });
  });

  it('covers the query', async () => {
    const url = await sign('https://edge.test/prompt/a?seed=7', 60);
    await expect(verify(url.replace('seed=7', 'seed=8'))).rejects.toMatchObject({
      code: 'url_signature_invalid',
    });
  });

  it.each([0, 3601, Number.NaN])('refuses a time of %s', async (seconds) => {
    await expect(sign('https://edge.test/prompt/a', seconds)).rejects.toThrow(RangeError);
  });
});
