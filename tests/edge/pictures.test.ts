import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { storePicture } from '../../edge/image-store.ts';
import {
  HEAD_HEADER,
  type JobCompleted,
  type JobSpec,
  type PictureEntry,
} from '../../edge/job-protocol.ts';
import { type CacheWish, Pictures } from '../../edge/pictures.ts';
import { createMemoryImages, MemoryBucket } from '../helpers/app.ts';
import { makePng } from '../helpers/picture.ts';

const bytes = new Uint8Array(makePng(64, 64, 0x224466));
const base64 = Buffer.from(bytes).toString('base64');
const entry = {
  digest: createHash('sha256').update(bytes).digest('hex'),
  format: 'png',
  createdMs: 1,
  warnings: [],
} as unknown as PictureEntry;

async function setUp({ stored, answers }: { stored: boolean; answers: Partial<JobCompleted>[] }) {
  const bucket = new MemoryBucket();
  if (stored)
    await storePicture(
      bucket as unknown as R2Bucket,
      { cacheKey: 'key1', account: 'acme' },
      entry,
      bytes,
    );
  const posted: { name: string; fresh: boolean; inline: boolean }[] = [];
  const pictures = new Pictures({
    images: createMemoryImages(bucket),
    jobs: {
      getByName: (name) => ({
        fetch: async (request) => {
          const { fresh, inline } = (await request.json()) as { fresh: boolean; inline: boolean };
          posted.push({ name, fresh, inline });
          const role = fresh ? 'leader' : 'follower';
          const data = { entry, timings: {}, stored: true, ...answers.shift() };
          return new Response(`event: completed\nid: 1\ndata: ${JSON.stringify(data)}\n\n`, {
            headers: { [HEAD_HEADER]: JSON.stringify({ role }) },
          });
        },
      }),
    },
  });
  const draw = async (wish: Partial<CacheWish> = {}, store = true) => {
    const begun = await pictures.begin({
      spec: { cacheKey: 'key1', store } as JobSpec,
      wish: { reload: false, noStore: false, onlyIfCached: false, ...wish },
      wantsBytes: true,
      signal: new AbortController().signal,
      waitUntil: () => undefined,
      onBudget: () => undefined,
      onLookUp: (work) => work(),
    });
    for await (const item of begun.items) {
      if (item.type === 'picture') return [item.outcome, item.base64 === base64];
    }
    return [];
  };
  return { bucket, posted, draw };
}

describe('Pictures', () => {
  test('Pictures come from the store without a job', async () => {
    const { draw, posted } = await setUp({ stored: true, answers: [] });
    expect(await draw()).toEqual(['hit', true]);
    expect(await draw({ onlyIfCached: true })).toEqual(['hit', true]);
    expect(posted).toEqual([]);
  });

  test('Pictures wait for a slow bucket rather than draw again what a job has stored', async () => {
    const { draw, posted, bucket } = await setUp({ stored: true, answers: [{}] });
    let reads = 0;
    // The look-up for the cache gives up after half a second; the job's word is worth a longer wait.
    const { get } = bucket;
    bucket.get = async (name) => {
      reads += 1;
      await new Promise((resolve) => setTimeout(resolve, 700));
      return get.call(bucket, name);
    };
    expect(await draw()).toEqual(['coalesced', true]);
    expect([posted.length, reads]).toEqual([1, 2]);
  });

  test('Pictures that a job hands over are found in memory from then on', async () => {
    const { draw, posted } = await setUp({
      stored: false,
      answers: [{ stored: false, image: base64 }],
    });
    expect(await draw()).toEqual(['coalesced', true]);
    expect(await draw()).toEqual(['hit', true]);
    expect(posted).toEqual([{ name: 'key1', fresh: false, inline: true }]);
  });

  test('Pictures are drawn again when the job says stored and the store says no', async () => {
    const { draw, posted } = await setUp({
      stored: false,
      answers: [{ stored: true }, { stored: false, image: base64 }],
    });
    expect(await draw()).toEqual(['miss', true]);
    expect(posted.map(({ fresh }) => fresh)).toEqual([false, true]);
  });

  test('Pictures that can be had nowhere are our own fault', async () => {
    const { draw } = await setUp({ stored: false, answers: [{}, {}] });
    await expect(draw()).rejects.toMatchObject({ code: 'internal_error' });
  });

  test('Pictures whose file is gone are drawn although there is an entry', async () => {
    const { draw, bucket, posted } = await setUp({
      stored: true,
      answers: [{ stored: false, image: base64 }],
    });
    bucket.objects.delete(`img/${entry.digest}`);
    expect(await draw()).toEqual(['coalesced', true]);
    expect(posted).toHaveLength(1);
  });

  test('Pictures are drawn anew, kept or not, as the caller wishes', async () => {
    const inline = { stored: false, image: base64 };
    const { draw, posted } = await setUp({ stored: true, answers: [inline, inline] });
    expect(await draw({ reload: true })).toEqual(['miss', true]);
    expect(posted[0]).toMatchObject({ name: 'key1', fresh: true });
    await draw({ noStore: true }, false);
    expect(posted[1]?.name).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('Pictures that are not there are not drawn for only-if-cached', async () => {
    const { draw, posted } = await setUp({ stored: false, answers: [] });
    const code = await draw({ onlyIfCached: true }).catch((error: ServiceError) => error.code);
    expect([code, posted]).toEqual(['not_cached', []]);
  });
});
