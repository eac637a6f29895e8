/**
 * Pictures and the index that leads to them: isolate memory → Cache API → bucket, behind one small interface.
 *
 *     key/{cacheKey}   → PictureEntry as JSON: which picture answers a request
 *     img/{digest}     → the file; the digest is the SHA-256 of its bytes
 *
 * A store that fails, hangs or forgets costs time, never an answer: reads then miss. Bytes from the bucket are checked against
 * their digest; a file that does not match is deleted.
 */
import { sha256Hex } from '#shared/hex.ts';
import type { ImageFormat } from '#shared/schemas/fields.ts';
import type { PictureEntry } from './job-protocol.ts';
import type { Log } from './log.ts';
import { Lru } from './lru.ts';
import { formatOf, mediaTypeOf } from './media-types.ts';

export interface StoredImage {
  readonly digest: string;
  readonly format: ImageFormat;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Unix milliseconds. */
  readonly createdMs: number;
}

/** The part of the Cache API that is used; absent where there is none. */
export interface PictureCache {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
}

export interface ImageStoreOptions {
  readonly bucket: R2Bucket;
  readonly cache: PictureCache | undefined;
  readonly log: Log;
}

type WaitUntil = (work: Promise<unknown>) => void;

/** 24 MiB of the isolate's 128. */
const MEMORY_BYTES_MAX = 24 * 1024 * 1024;
const IMAGES_MAX = 1024;
const ENTRIES_MAX = 8192;
/** A store slower than this counts as a miss. */
const READ_DEADLINE_MS = 500;
const CACHE_ORIGIN = 'https://store.pixart-edge.internal';
const IMAGE_TTL_SECONDS = 31_536_000;
/** Entries may be replaced when a picture is drawn again, so other data centres ask again after a while. */
const ENTRY_TTL_SECONDS = 3600;

export class ImageStore {
  readonly #options: ImageStoreOptions;
  readonly #entries = new Lru<PictureEntry>({ countMax: ENTRIES_MAX });
  readonly #images = new Lru<StoredImage>({ countMax: IMAGES_MAX, weightMax: MEMORY_BYTES_MAX });

  constructor(options: ImageStoreOptions) {
    this.#options = options;
  }

  /** Which picture answers this key, or undefined. */
  async findEntry(cacheKey: string, waitUntil: WaitUntil): Promise<PictureEntry | undefined> {
    const kept = this.#entries.get(cacheKey);
    if (kept !== undefined) return kept;
    const url = `${CACHE_ORIGIN}/key/${cacheKey}`;
    const cached = await this.#fromCache(url);
    if (cached !== undefined) {
      const entry = (await cached.json()) as PictureEntry;
      this.#entries.set(cacheKey, entry);
      return entry;
    }
    const object = await this.#fromBucket(`key/${cacheKey}`);
    if (object === undefined) return undefined;
    const text = await object.text();
    const entry = JSON.parse(text) as PictureEntry;
    this.#entries.set(cacheKey, entry);
    this.#toCache(
      url,
      new Response(text, { headers: { 'Cache-Control': `max-age=${ENTRY_TTL_SECONDS}` } }),
      waitUntil,
    );
    return entry;
  }

  /** The file with this digest, or undefined. */
  async readImage(digest: string, waitUntil: WaitUntil): Promise<StoredImage | undefined> {
    const kept = this.#images.get(digest);
    if (kept !== undefined) return kept;
    const url = `${CACHE_ORIGIN}/img/${digest}`;
    const cached = await this.#fromCache(url);
    if (cached !== undefined) {
      const format = formatOf(cached.headers.get('Content-Type') ?? undefined);
      const createdMs = Date.parse(cached.headers.get('Last-Modified') ?? '');
      if (format !== undefined) {
        const bytes = new Uint8Array(await cached.arrayBuffer());
        return this.#keep({ digest, format, bytes, createdMs });
      }
    }
    const object = await this.#fromBucket(`img/${digest}`);
    if (object === undefined) return undefined;
    const bytes = new Uint8Array(await object.arrayBuffer());
    const format = formatOf(object.httpMetadata?.contentType);
    if (format === undefined || (await sha256Hex(bytes)) !== digest) {
      this.#options.log.error('image.corrupted', { digest, size_bytes: bytes.length });
      waitUntil(this.#options.bucket.delete(`img/${digest}`));
      return undefined;
    }
    const image = this.#keep({ digest, format, bytes, createdMs: object.uploaded.getTime() });
    this.#toCache(url, toCacheable(image), waitUntil);
    return image;
  }

  /** Keeps in this isolate what was just drawn. */
  remember(cacheKey: string, entry: PictureEntry, bytes: Uint8Array<ArrayBuffer>): void {
    const { digest, format, createdMs } = entry;
    this.#entries.set(cacheKey, entry);
    this.#keep({ digest, format, bytes, createdMs });
  }

  /** Forgets an entry of this isolate whose picture is gone. */
  forget(cacheKey: string): void {
    this.#entries.delete(cacheKey);
  }

  #keep(image: StoredImage): StoredImage {
    this.#images.set(image.digest, image, image.bytes.length);
    return image;
  }

  async #fromCache(url: string): Promise<Response | undefined> {
    const { cache } = this.#options;
    if (cache === undefined) return undefined;
    try {
      return await within(READ_DEADLINE_MS, cache.match(url));
    } catch (error) {
      this.#options.log.error('cache.failed', {}, error);
      return undefined;
    }
  }

  #toCache(url: string, response: Response, waitUntil: WaitUntil): void {
    const { cache, log } = this.#options;
    if (cache === undefined) return;
    waitUntil(
      cache.put(url, response).catch((error: unknown) => log.error('cache.failed', {}, error)),
    );
  }

  async #fromBucket(name: string): Promise<R2ObjectBody | undefined> {
    try {
      return (await within(READ_DEADLINE_MS, this.#options.bucket.get(name))) ?? undefined;
    } catch (error) {
      this.#options.log.error('bucket.failed', { operation: 'get' }, error);
      return undefined;
    }
  }
}

/**
 * Puts a picture and then its index entry into the bucket, so that an entry never leads nowhere.
 *
 * @throws when the bucket does
 */
export async function storePicture(
  bucket: R2Bucket,
  cacheKey: string,
  entry: PictureEntry,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  await bucket.put(`img/${entry.digest}`, bytes, {
    sha256: entry.digest,
    httpMetadata: { contentType: mediaTypeOf(entry.format) },
    onlyIf: new Headers({ 'If-None-Match': '*' }),
  });
  await bucket.put(`key/${cacheKey}`, JSON.stringify(entry), {
    httpMetadata: { contentType: 'application/json' },
  });
}

function toCacheable(image: StoredImage): Response {
  return new Response(image.bytes, {
    headers: {
      'Content-Type': mediaTypeOf(image.format),
      'Last-Modified': new Date(image.createdMs).toUTCString(),
      'Cache-Control': `public, max-age=${IMAGE_TTL_SECONDS}, immutable`,
    },
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
