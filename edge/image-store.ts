/**
 * Pictures, their variants and the index that leads to them: isolate memory → Cache API → bucket, behind one small interface.
 *
 * `picture-address.ts` has the names. A store that fails, hangs or forgets costs time, never an answer: reads then miss. Bytes
 * from the bucket are checked against their digest; a file that does not match is deleted. Private pictures never reach the
 * Cache API. Copies in memory and cache count only while the list of deletions is known, and for an hour.
 */
import type { Variant } from '#shared/variant.ts';
import { COPY_AGE_MS_MAX, type DeletedPictures } from './deleted-pictures.ts';
import type { PictureEntry } from './job-protocol.ts';
import type { Log } from './log.ts';
import { Lru } from './lru.ts';
import { formatOf, mediaTypeOf } from './media-types.ts';
import {
  claimPrefix,
  entryName,
  originalName,
  type PictureAddress,
  variantName,
} from './picture-address.ts';
import { fromStored, isDeletedMark, type StoredImage, toMetadata } from './stored-image.ts';

/** The part of the Cache API that is used; absent where there is none. */
export interface PictureCache {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
  delete(url: string): Promise<boolean>;
}

export interface ImageStoreOptions {
  readonly bucket: R2Bucket;
  readonly cache: PictureCache | undefined;
  readonly deleted: DeletedPictures;
  /** Milliseconds that pictures are kept; undefined: for ever. */
  readonly retentionMs: number | undefined;
  readonly now: () => number;
  readonly log: Log;
}

export type WaitUntil = (work: Promise<unknown>) => void;

/** A picture, that it was deleted, or that there is none. */
export type Found = StoredImage | 'deleted' | undefined;

interface Copy {
  readonly image: StoredImage;
  readonly keptMs: number;
}

/** 24 MiB of the isolate's 128. */
const MEMORY_BYTES_MAX = 24 * 1024 * 1024;
const IMAGES_MAX = 1024;
const ENTRIES_MAX = 8192;
/** A store slower than this counts as a miss. */
const READ_DEADLINE_MS = 500;
const CACHE_ORIGIN = 'https://store.pixart-edge.internal';
const COPY_TTL_SECONDS = COPY_AGE_MS_MAX / 1000;

export class ImageStore {
  readonly #options: ImageStoreOptions;
  readonly #entries = new Lru<PictureEntry>({ countMax: ENTRIES_MAX });
  readonly #copies = new Lru<Copy>({ countMax: IMAGES_MAX, weightMax: MEMORY_BYTES_MAX });

  constructor(options: ImageStoreOptions) {
    this.#options = options;
  }

  /** Which picture answers this key, or undefined. */
  async findEntry(cacheKey: string, waitUntil: WaitUntil): Promise<PictureEntry | undefined> {
    const entry =
      this.#entries.get(cacheKey) ??
      (await this.#cachedEntry(cacheKey)) ??
      (await this.#storedEntry(cacheKey, waitUntil));
    if (entry === undefined || this.#isExpired(entry.createdMs)) return undefined;
    this.#entries.set(cacheKey, entry);
    return entry;
  }

  /**
   * The original, or undefined where there is none any more.
   *
   * @param deadlineMs  a bucket slower than this counts as one that has not got it
   */
  async readImage(
    address: PictureAddress,
    waitUntil: WaitUntil,
    { deadlineMs = READ_DEADLINE_MS }: { readonly deadlineMs?: number } = {},
  ): Promise<StoredImage | undefined> {
    const found = await this.#find(originalName(address), address, waitUntil, deadlineMs);
    return found === 'deleted' ? undefined : found;
  }

  /** The original, and whether it was deleted. */
  findImage(address: PictureAddress, waitUntil: WaitUntil): Promise<Found> {
    return this.#find(originalName(address), address, waitUntil);
  }

  /** A variant that was made before. */
  findVariant(address: PictureAddress, variant: Variant, waitUntil: WaitUntil): Promise<Found> {
    return this.#find(variantName(address, variant), address, waitUntil);
  }

  /** Keeps in this isolate what was just drawn. */
  remember(cacheKey: string, entry: PictureEntry, bytes: Uint8Array<ArrayBuffer>): void {
    const { digest, owner, format, createdMs } = entry;
    this.#entries.set(cacheKey, entry);
    const image = { digest, owner, format, bytes, createdMs, storedMs: createdMs, sha256: digest };
    this.#keep(originalName(entry), image);
  }

  /** Keeps a variant that was just made, here and in the data centre. */
  rememberVariant(variant: Variant, image: StoredImage, waitUntil: WaitUntil): void {
    const name = variantName(image, variant);
    this.#keep(name, image);
    this.#toCache(name, image, waitUntil);
  }

  /** Forgets an entry of this isolate whose picture is gone. */
  forget(cacheKey: string): void {
    this.#entries.delete(cacheKey);
  }

  /** Drops what this isolate and this data centre hold of a deleted picture and its index entries. */
  async drop(
    names: readonly string[],
    { cacheKeys, atMs }: { readonly cacheKeys: readonly string[]; readonly atMs: number },
  ): Promise<void> {
    const { cache, deleted, log } = this.#options;
    for (const name of names) {
      deleted.add({ name, atMs });
      this.#copies.delete(name);
    }
    for (const cacheKey of cacheKeys) this.#entries.delete(cacheKey);
    if (cache === undefined) return;
    const urls = [...names, ...cacheKeys.map(entryName)].map(cacheUrl);
    try {
      await within(READ_DEADLINE_MS, Promise.all(urls.map((url) => cache.delete(url))));
    } catch (error) {
      // The list of deletions keeps what stays there from being used.
      log.error('cache.failed', {}, error);
    }
  }

  async #find(
    name: string,
    address: PictureAddress,
    waitUntil: WaitUntil,
    deadlineMs?: number,
  ): Promise<Found> {
    const { deleted, now } = this.#options;
    if (await deleted.areCopiesUsable(waitUntil)) {
      const copy = this.#copies.get(name);
      const kept =
        copy !== undefined && now() - copy.keptMs < COPY_AGE_MS_MAX
          ? copy.image
          : await this.#cachedImage(name, address);
      if (kept !== undefined) {
        if (this.#isExpired(kept.createdMs)) return undefined;
        if (!deleted.has(originalName(address), kept.storedMs)) return this.#keep(name, kept, copy);
        this.#copies.delete(name);
      }
    }
    return this.#storedImage(name, address, waitUntil, deadlineMs);
  }

  async #storedImage(
    name: string,
    address: PictureAddress,
    waitUntil: WaitUntil,
    deadlineMs: number | undefined,
  ): Promise<Found> {
    const { bucket, log } = this.#options;
    const object = await this.#fromBucket(name, deadlineMs);
    if (object === undefined) return undefined;
    if (isDeletedMark(object)) return 'deleted';
    const image = await fromStored(object, address);
    if (image === undefined) {
      log.error('image.corrupted', { name, size_bytes: object.size });
      waitUntil(bucket.delete(name));
      return undefined;
    }
    if (this.#isExpired(image.createdMs)) {
      waitUntil(bucket.delete(name));
      return undefined;
    }
    this.#toCache(name, image, waitUntil);
    return this.#keep(name, image);
  }

  #keep(name: string, image: StoredImage, before?: Copy): StoredImage {
    // What comes from memory keeps its age.
    if (before?.image === image) return image;
    this.#copies.set(name, { image, keptMs: this.#options.now() }, image.bytes.length);
    return image;
  }

  #isExpired(createdMs: number): boolean {
    const { retentionMs, now } = this.#options;
    return retentionMs !== undefined && createdMs + retentionMs <= now();
  }

  async #cachedEntry(cacheKey: string): Promise<PictureEntry | undefined> {
    const cached = await this.#fromCache(entryName(cacheKey));
    return cached && ((await cached.json()) as PictureEntry);
  }

  async #storedEntry(cacheKey: string, waitUntil: WaitUntil): Promise<PictureEntry | undefined> {
    const object = await this.#fromBucket(entryName(cacheKey));
    if (object === undefined) return undefined;
    const text = await object.text();
    const entry = JSON.parse(text) as PictureEntry;
    // Entries of private pictures are as private as they are.
    if (entry.owner === undefined) {
      // Entries may be replaced when a picture is drawn again, so other data centres ask again after a while.
      const headers = { 'Cache-Control': `max-age=${COPY_TTL_SECONDS}` };
      this.#putCache(entryName(cacheKey), new Response(text, { headers }), waitUntil);
    }
    return entry;
  }

  async #cachedImage(name: string, address: PictureAddress): Promise<StoredImage | undefined> {
    if (address.owner !== undefined) return undefined;
    const cached = await this.#fromCache(name);
    const format = formatOf(cached?.headers.get('Content-Type') ?? undefined);
    if (cached === undefined || format === undefined) return undefined;
    const bytes = new Uint8Array(await cached.arrayBuffer());
    const number = (header: string) => Number(cached.headers.get(header));
    return {
      ...address,
      format,
      bytes,
      createdMs: number(CREATED_HEADER),
      storedMs: number(STORED_HEADER),
      sha256: cached.headers.get(SHA256_HEADER) ?? '',
    };
  }

  #toCache(name: string, image: StoredImage, waitUntil: WaitUntil): void {
    if (image.owner !== undefined) return;
    const headers = {
      'Content-Type': mediaTypeOf(image.format),
      'Cache-Control': `public, max-age=${COPY_TTL_SECONDS}`,
      [CREATED_HEADER]: String(image.createdMs),
      [STORED_HEADER]: String(image.storedMs),
      [SHA256_HEADER]: image.sha256,
    };
    this.#putCache(name, new Response(image.bytes, { headers }), waitUntil);
  }

  async #fromCache(name: string): Promise<Response | undefined> {
    const { cache } = this.#options;
    if (cache === undefined) return undefined;
    try {
      return await within(READ_DEADLINE_MS, cache.match(cacheUrl(name)));
    } catch (error) {
      this.#options.log.error('cache.failed', {}, error);
      return undefined;
    }
  }

  #putCache(name: string, response: Response, waitUntil: WaitUntil): void {
    const { cache, log } = this.#options;
    if (cache === undefined) return;
    waitUntil(
      cache
        .put(cacheUrl(name), response)
        .catch((error: unknown) => log.error('cache.failed', {}, error)),
    );
  }

  async #fromBucket(
    name: string,
    deadlineMs: number = READ_DEADLINE_MS,
  ): Promise<R2ObjectBody | undefined> {
    try {
      return (await within(deadlineMs, this.#options.bucket.get(name))) ?? undefined;
    } catch (error) {
      this.#options.log.error('bucket.failed', { operation: 'get' }, error);
      return undefined;
    }
  }
}

const CREATED_HEADER = 'Pixart-Created';
const STORED_HEADER = 'Pixart-Stored';
const SHA256_HEADER = 'Pixart-Sha256';

function cacheUrl(name: string): string {
  return `${CACHE_ORIGIN}/${name}`;
}

/** Whose the picture is that is stored. */
export interface Claim {
  readonly cacheKey: string;
  /** Account that had it drawn. */
  readonly account: string;
}

/**
 * Puts a picture and then its index entry into the bucket, so that an entry never leads nowhere; before both, whose it is, so
 * that its owner can always delete it.
 *
 * @throws when the bucket does
 */
export async function storePicture(
  bucket: R2Bucket,
  { cacheKey, account }: Claim,
  entry: PictureEntry,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  if (entry.owner === undefined) {
    await bucket.put(`${claimPrefix(entry.digest, account)}${cacheKey}`, '');
  }
  // Also over the mark that it left when it was deleted, and over an older one that is about to expire.
  await bucket.put(originalName(entry), bytes, {
    sha256: entry.digest,
    httpMetadata: { contentType: mediaTypeOf(entry.format) },
    customMetadata: toMetadata({ createdMs: entry.createdMs, sha256: entry.digest }),
  });
  await bucket.put(entryName(cacheKey), JSON.stringify(entry), {
    httpMetadata: { contentType: 'application/json' },
  });
}

/** The result of the work, or undefined when it takes longer. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  // A failure after the deadline concerns nobody any more.
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    if (timer !== undefined) clearTimeout(timer);
  }
}
