import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { DeletedPictures, type Deletion } from '../../edge/deleted-pictures.ts';
import { ImageStore, type PictureCache, storePicture } from '../../edge/image-store.ts';
import type { PictureEntry } from '../../edge/job-protocol.ts';
import { createLog } from '../../edge/log.ts';
import { MemoryBucket } from '../helpers/app.ts';
import { makePng } from '../helpers/picture.ts';

const bytes = new Uint8Array(makePng(64, 64, 0x336699));
const digest = createHash('sha256').update(bytes).digest('hex');
const entry: PictureEntry = {
  digest,
  format: 'png',
  bytes: bytes.length,
  width: 64,
  height: 64,
  seed: 1,
  createdMs: 1_700_000_000_000,
  revision: 'ab'.repeat(32),
  promptTokens: 3,
  warnings: [],
};

const claim = { cacheKey: 'key1', account: 'acme' };

class MemoryCache implements PictureCache {
  readonly responses = new Map<string, Response>();
  fail = false;
  async match(url: string) {
    if (this.fail) throw new Error('the cache is down');
    return this.responses.get(url)?.clone();
  }
  async delete(url: string) {
    return this.responses.delete(url);
  }
  async put(url: string, response: Response) {
    if (this.fail) throw new Error('the cache is down');
    this.responses.set(url, response);
  }
}

async function setUp({ filled = true, retentionMs = undefined as number | undefined } = {}) {
  const clock = { nowMs: 1_700_000_100_000 };
  const deletions: Deletion[] = [];
  const now = () => clock.nowMs;
  const bucket = new MemoryBucket();
  const cache = new MemoryCache();
  if (filled) await storePicture(bucket as unknown as R2Bucket, claim, entry, bytes);
  const log = createLog('silent');
  const waiting: Promise<unknown>[] = [];
  const waitUntil = (work: Promise<unknown>) => void waiting.push(work);
  const isolate = (withCache = true) =>
    new ImageStore({
      bucket: bucket as unknown as R2Bucket,
      cache: withCache ? cache : undefined,
      deleted: new DeletedPictures({
        since: async (atMs) => deletions.filter((deletion) => deletion.atMs >= atMs),
        now,
      }),
      retentionMs,
      now,
      log,
    });
  return {
    clock,
    deletions,
    bucket,
    cache,
    isolate,
    waitUntil,
    settle: () => Promise.all(waiting.splice(0)),
  };
}

describe('storePicture()', () => {
  test('storePicture() puts the picture before the entry that leads to it', async () => {
    const { bucket } = await setUp();
    expect([...bucket.objects.keys()]).toEqual([
      `owner/${digest}/acme/key1`,
      `img/${digest}`,
      'key/key1',
    ]);
    expect(bucket.objects.get(`img/${digest}`)?.contentType).toBe('image/png');
  });
});

describe('ImageStore', () => {
  test('ImageStore asks memory, then the cache, then the bucket', async () => {
    const { bucket, isolate, waitUntil, settle } = await setUp();
    const first = isolate();
    for (let i = 0; i < 3; i += 1) {
      expect(await first.findEntry('key1', waitUntil)).toEqual(entry);
      expect((await first.readImage({ digest }, waitUntil))?.bytes).toEqual(bytes);
    }
    expect(bucket.reads).toBe(2);
    await settle();
    const second = isolate();
    expect(await second.findEntry('key1', waitUntil)).toEqual(entry);
    expect(await second.readImage({ digest }, waitUntil)).toMatchObject({
      digest,
      format: 'png',
      bytes,
    });
    expect(bucket.reads).toBe(2);
  });

  test('ImageStore remembers what was just drawn without asking anyone', async () => {
    const { bucket, isolate, waitUntil } = await setUp({ filled: false });
    const store = isolate();
    store.remember('key1', entry, bytes);
    expect(await store.findEntry('key1', waitUntil)).toEqual(entry);
    expect((await store.readImage({ digest }, waitUntil))?.createdMs).toBe(entry.createdMs);
    expect(bucket.reads).toBe(0);
    store.forget('key1');
    expect(await store.findEntry('key1', waitUntil)).toBeUndefined();
  });

  test('ImageStore misses what is nowhere', async () => {
    const { isolate, waitUntil } = await setUp({ filled: false });
    expect(await isolate().findEntry('key1', waitUntil)).toBeUndefined();
    expect(await isolate().readImage({ digest }, waitUntil)).toBeUndefined();
  });

  test('ImageStore deletes a file that is not what its name says, and misses', async () => {
    const { bucket, isolate, waitUntil, settle } = await setUp();
    bucket.objects.get(`img/${digest}`)!.bytes[100]! ^= 1;
    expect(await isolate().readImage({ digest }, waitUntil)).toBeUndefined();
    await settle();
    expect(bucket.objects.has(`img/${digest}`)).toBe(false);
  });

  test('ImageStore misses when the bucket fails, and works when it is back', async () => {
    const { bucket, isolate, waitUntil } = await setUp();
    const store = isolate(false);
    bucket.fail = true;
    expect(await store.findEntry('key1', waitUntil)).toBeUndefined();
    bucket.fail = false;
    expect(await store.findEntry('key1', waitUntil)).toEqual(entry);
  });

  test('ImageStore misses when the bucket takes longer than half a second', async () => {
    const { bucket, isolate, waitUntil } = await setUp();
    bucket.delay = new Promise(() => undefined);
    expect(await isolate(false).readImage({ digest }, waitUntil)).toBeUndefined();
  });

  test('ImageStore is only slower when the cache is down', async () => {
    const { cache, isolate, waitUntil, settle } = await setUp();
    cache.fail = true;
    expect((await isolate().readImage({ digest }, waitUntil))?.bytes).toEqual(bytes);
    await settle();
  });

  test('ImageStore uses no copy of a picture that was deleted', async () => {
    const { bucket, clock, deletions, isolate, waitUntil, settle } = await setUp();
    const store = isolate();
    expect(await store.readImage({ digest }, waitUntil)).toBeDefined();
    await settle();
    // Deleted by another isolate: this one has it in memory, and the data centre in its cache.
    bucket.objects.delete(`img/${digest}`);
    clock.nowMs += 10_000;
    deletions.push({ name: `img/${digest}`, atMs: clock.nowMs });
    expect(await store.readImage({ digest }, waitUntil)).toBeUndefined();
    expect(await isolate().readImage({ digest }, waitUntil)).toBeUndefined();
  });

  test('ImageStore drops pictures and entries at the end of their retention', async () => {
    const { bucket, clock, isolate, waitUntil, settle } = await setUp({ retentionMs: 3_600_000 });
    const store = isolate();
    clock.nowMs = entry.createdMs + 3_599_999;
    expect(await store.findEntry('key1', waitUntil)).toBeDefined();
    expect(await store.readImage({ digest }, waitUntil)).toBeDefined();
    clock.nowMs += 1;
    expect(await store.findEntry('key1', waitUntil)).toBeUndefined();
    expect(await store.readImage({ digest }, waitUntil)).toBeUndefined();
    expect(await isolate(false).readImage({ digest }, waitUntil)).toBeUndefined();
    await settle();
    expect(bucket.objects.has(`img/${digest}`)).toBe(false);
  });

  test('ImageStore never puts a private picture into the cache', async () => {
    const { bucket, cache, isolate, waitUntil, settle } = await setUp({ filled: false });
    const mine = { ...entry, owner: 'acme' };
    await storePicture(bucket as unknown as R2Bucket, claim, mine, bytes);
    expect([...bucket.objects.keys()]).toEqual([`private/acme/${digest}`, 'key/key1']);
    const store = isolate();
    expect(await store.findEntry('key1', waitUntil)).toEqual(mine);
    expect((await store.readImage({ digest, owner: 'acme' }, waitUntil))?.bytes).toEqual(bytes);
    expect(await store.readImage({ digest }, waitUntil)).toBeUndefined();
    expect(await store.readImage({ digest, owner: 'other' }, waitUntil)).toBeUndefined();
    await settle();
    expect(cache.responses.size).toBe(0);
  });
});
