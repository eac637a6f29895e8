/** Whose a picture is: private ones, their signed URLs, and deletion, in real workerd. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { signUrl } from '#shared/signed-url.ts';
import { type RunningEdge, readJson, startEdge } from '../../helpers/edge.ts';

const KEY = { id: 'url', secret: 'a secret of the operator' };
let edge: RunningEdge;

beforeAll(async () => {
  edge = await startEdge({ bindings: { URL_SIGNING_KEYS: `${KEY.id}:${KEY.secret}` } });
});
afterAll(() => edge[Symbol.asyncDispose]());

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

async function draw(members: Record<string, unknown>, key = edge.key) {
  const response = await edge.generate(
    { response_format: 'url', ...members },
    { headers: { Authorization: `Bearer ${key}` } },
  );
  const { data } = await readJson(response);
  return data[0] as { url: string; id: string; cache: string };
}

const remove = (id: string, key = edge.key) =>
  fetch(`${edge.url}/v1/images/${id}`, {
    method: 'DELETE',
    headers: { Authorization: `Bearer ${key}` },
  });

async function namesOf(id: string): Promise<string[]> {
  const bucket = await edge.worker.miniflare.getR2Bucket('IMAGES', 'pixart-edge');
  const { objects } = await bucket.list();
  return objects.map(({ key }) => key).filter((key) => key.includes(id));
}

describe('private pictures', () => {
  test('private pictures have a signed URL and no other', async () => {
    const { url, id } = await draw({ prompt: 'a secret', visibility: 'private' });
    expect(await namesOf(id)).toEqual([`private/default/${id}`]);
    const response = await fetch(url, { headers: { Origin: 'https://page.example' } });
    expect(response.status).toBe(200);
    expect(response.headers.get('Cache-Control')).toBe('private, no-store');
    expect(response.headers.get('Access-Control-Allow-Origin')).toBeNull();
    expect(response.headers.get('Content-Type')).toBe('image/png');
    const bare = await fetch(url.split('?')[0]!);
    expect(bare.status).toBe(404);
    const auth = { Authorization: `Bearer ${edge.key}` };
    expect((await fetch(url.split('?')[0]!, { headers: auth })).status).toBe(404);
  });

  test('private pictures answer HEAD, conditions and ranges after the signature', async () => {
    const { url, id } = await draw({ prompt: 'a secret', visibility: 'private' });
    const head = await fetch(url, { method: 'HEAD' });
    expect([head.status, head.headers.get('ETag')]).toEqual([200, `"${id}"`]);
    const same = { 'If-None-Match': `"${id}"` };
    expect((await fetch(url, { headers: same })).status).toBe(304);
    expect((await fetch(url, { headers: { Range: 'bytes=0-7' } })).status).toBe(206);
    const forged = new URL(url);
    forged.searchParams.set('sig', 'A'.repeat(43));
    expect((await fetch(forged, { headers: same })).status).toBe(403);
  });

  test('private pictures have private variants under the same signature', async () => {
    const { url, id } = await draw({ prompt: 'a secret', visibility: 'private' });
    const variant = new URL(url);
    variant.pathname = variant.pathname.replace('.png', '.webp');
    variant.searchParams.set('w', '32');
    const response = await fetch(variant);
    expect(response.status).toBe(200);
    expect(response.headers.get('Cache-Control')).toBe('private, no-store');
    expect(await namesOf(id)).toEqual([
      `private/default/${id}`,
      `private/default/${id}/format=webp&q=80&w=32`,
    ]);
  });

  test.each([
    ['another picture', (url: URL) => Object.assign(url, { pathname: `/i/${'b'.repeat(64)}.png` })],
    ['another account', (url: URL) => url.searchParams.set('scope', 'other')],
    ['no account', (url: URL) => url.searchParams.delete('scope')],
    ['a later time', (url: URL) => url.searchParams.set('exp', String(inSeconds(3500)))],
  ])('private pictures cannot be had with a signature for %s', async (_, alter) => {
    const signed = new URL((await draw({ prompt: 'a secret', visibility: 'private' })).url);
    // A time that differs from the signed one.
    const url = new URL(
      await signUrl(signed.href, { key: KEY, expires: inSeconds(60), scope: 'default' }),
    );
    alter(url);
    const response = await fetch(url);
    expect([response.status, (await readJson(response)).code]).toEqual([
      403,
      'url_signature_invalid',
    ]);
  });

  test('private pictures are found again by their key only', async () => {
    const wish = { prompt: 'whose is it', seed: 5, visibility: 'private' };
    expect((await draw(wish)).cache).toBe('miss');
    expect((await draw(wish)).cache).toBe('hit');
    expect((await draw(wish, edge.otherKey)).cache).toBe('miss');
    expect((await draw({ ...wish, visibility: 'account' })).cache).toBe('miss');
    expect((await draw({ ...wish, visibility: 'public' })).cache).toBe('miss');
  });

  test('pictures of an account are found again inside it, public ones by everyone', async () => {
    const wish = { prompt: 'who shares it', seed: 5 };
    expect((await draw(wish)).cache).toBe('miss');
    expect((await draw(wish)).cache).toBe('hit');
    expect((await draw(wish, edge.otherKey)).cache).toBe('miss');
    expect((await draw({ ...wish, visibility: 'public' })).cache).toBe('miss');
    expect((await draw({ ...wish, visibility: 'public' }, edge.otherKey)).cache).toBe('hit');
  });
});

describe('deleteImage()', () => {
  test('deleteImage() takes a picture and its variants out of every layer, and the URL says so', async () => {
    const { url, id } = await draw({ prompt: 'to be deleted' });
    const addresses = [url, `${url}?w=16`, url.replace('.png', '.webp')];
    for (const address of addresses) expect((await fetch(address)).status).toBe(200);
    expect(await namesOf(id)).toHaveLength(4);
    const deleted = await remove(id);
    expect(deleted.status).toBe(200);
    expect(await readJson(deleted)).toEqual({ id, object: 'image.deleted', deleted: true });
    for (const address of [...addresses, `${url}?w=17`]) {
      const response = await fetch(address);
      expect([response.status, response.headers.get('Cache-Control')]).toEqual([410, 'no-store']);
      expect((await readJson(response)).code).toBe('image_deleted');
    }
    expect(await namesOf(id)).toEqual([`img/${id}`]);
    const again = await remove(id);
    expect(again.status).toBe(404);
  });

  test('deleteImage() lets the same request draw it again, and it is back', async () => {
    const { url, id } = await draw({ prompt: 'to come back' });
    expect((await fetch(url)).status).toBe(200);
    await remove(id);
    expect((await fetch(url)).status).toBe(410);
    const again = await draw({ prompt: 'to come back' });
    expect(again).toMatchObject({ id, cache: 'miss' });
    expect((await fetch(url)).status).toBe(200);
  });

  test('deleteImage() takes private pictures too', async () => {
    const { url, id } = await draw({ prompt: 'a private one', visibility: 'private' });
    expect((await fetch(url)).status).toBe(200);
    expect((await remove(id, edge.otherKey)).status).toBe(404);
    expect((await remove(id)).status).toBe(200);
    expect((await fetch(url)).status).toBe(410);
  });

  test('deleteImage() leaves pictures to the accounts that had them drawn', async () => {
    const { url, id } = await draw({ prompt: 'both of us', seed: 9 });
    expect((await remove(id, edge.otherKey)).status).toBe(404);
    const theirs = await draw({ prompt: 'both of us', seed: 9 }, edge.otherKey);
    expect(theirs.id).toBe(id);
    expect((await remove(id)).status).toBe(200);
    expect((await fetch(url)).status).toBe(200);
    expect((await remove(id, edge.otherKey)).status).toBe(200);
    expect((await fetch(url)).status).toBe(410);
  });

  test.each([`${'a'.repeat(64)}`, `${'A'.repeat(64)}`, 'a'.repeat(63), 'generations.png'])(
    'deleteImage() has nothing at %s',
    async (id) => {
      const response = await remove(id);
      expect([response.status, (await readJson(response)).code]).toEqual([404, 'not_found']);
    },
  );

  test('deleteImage() asks for a key', async () => {
    const response = await fetch(`${edge.url}/v1/images/${'a'.repeat(64)}`, { method: 'DELETE' });
    expect(response.status).toBe(401);
  });
});
