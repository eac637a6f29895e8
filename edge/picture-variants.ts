/**
 * The Durable Object of one stored picture: has its variants made, each once at a time, and knows which there are.
 *
 * Asked only for a variant that is nowhere yet. It holds their number and the pace at which they are made down, because anyone
 * who may see a picture may ask for variants of it.
 */
import { DurableObject } from 'cloudflare:workers';
import { ServiceError } from '#shared/errors.ts';
import { sha256Hex } from '#shared/hex.ts';
import { type Variant, variantQuery } from '#shared/variant.ts';
import { type Config, loadConfig } from './config.ts';
import type { Env } from './env.ts';
import { createLog, type Log } from './log.ts';
import { mediaTypeOf } from './media-types.ts';
import { originalName, type PictureAddress, variantName } from './picture-address.ts';
import { fromStored, isDeletedMark, type StoredImage, toMetadata } from './stored-image.ts';
import { type BucketState, fullBucket, takeTokens, viewBucket } from './token-bucket.ts';
import { signingKeyOf } from './upstreams/create-upstreams.ts';
import { VariantMaker } from './variant-maker.ts';
import { answerFailure, answerVariant, type VariantOrder } from './variants.ts';

/** Stored of one picture; of more, the oldest go. */
const VARIANTS_MAX = 128;
/** Made of one picture. */
const LIMITS = { rate: 60, burst: 64 } as const;

export class PictureVariants extends DurableObject<Env> {
  readonly #config: Config;
  readonly #log: Log;
  readonly #maker: VariantMaker;
  readonly #making = new Map<string, Promise<StoredImage>>();
  #bucket: BucketState | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#config = loadConfig(env);
    this.#log = createLog(this.#config.logLevel);
    // Hosted upstreams draw, but make no variants.
    const own = this.#config.upstreams.find((upstream) => 'url' in upstream);
    this.#maker = new VariantMaker({
      url: own?.url,
      signingKey: own && signingKeyOf(own, this.#config),
      fetch: (request) => fetch(request),
      now: Date.now,
    });
    ctx.storage.sql.exec(
      'CREATE TABLE IF NOT EXISTS variant (name TEXT PRIMARY KEY, at_ms INTEGER)',
    );
  }

  override async fetch(request: Request): Promise<Response> {
    const order = (await request.json()) as VariantOrder;
    const name = variantQuery(order.variant);
    try {
      let made = this.#making.get(name);
      if (made === undefined) {
        made = this.#make(order);
        this.#making.set(name, made);
        const done = () => this.#making.delete(name);
        made.then(done, done);
        this.ctx.waitUntil(made.catch(() => undefined));
      }
      return answerVariant(await made);
    } catch (error) {
      return answerFailure(error);
    }
  }

  /**
   * Deletes all variants; those that are being made are waited for first.
   *
   * @returns their object names
   */
  async purge(): Promise<string[]> {
    await Promise.allSettled(this.#making.values());
    const names = this.#names();
    if (names.length > 0) await this.env.IMAGES.delete(names);
    await this.ctx.storage.deleteAll();
    this.ctx.storage.sql.exec(
      'CREATE TABLE IF NOT EXISTS variant (name TEXT PRIMARY KEY, at_ms INTEGER)',
    );
    return names;
  }

  async #make({ address, variant, requestId }: VariantOrder): Promise<StoredImage> {
    const original = await this.#readOriginal(address);
    this.#takeTurn();
    const bytes = await this.#maker.make(original, variant, requestId);
    const sha256 = await sha256Hex(bytes);
    const { createdMs } = original;
    const storedMs = Date.now();
    await this.#store(variantName(address, variant), { bytes, variant, createdMs, sha256 });
    return { ...address, format: variant.format, bytes, createdMs, storedMs, sha256 };
  }

  async #readOriginal(address: PictureAddress): Promise<StoredImage> {
    const object = await this.env.IMAGES.get(originalName(address));
    if (object === null) throw new ServiceError('not_found');
    if (isDeletedMark(object)) throw new ServiceError('image_deleted');
    const original = await fromStored(object, address);
    const { retentionMs = Number.POSITIVE_INFINITY } = this.#config;
    if (original === undefined || original.createdMs + retentionMs <= Date.now()) {
      throw new ServiceError('not_found');
    }
    return original;
  }

  #takeTurn(): void {
    const nowMs = Date.now();
    const { state, taken } = takeTokens(this.#bucket ?? fullBucket(LIMITS, nowMs), LIMITS, {
      nowMs,
      count: 1,
    });
    this.#bucket = state;
    if (taken > 0) return;
    throw new ServiceError('rate_limited', {
      detail: `Of one picture ${LIMITS.rate} new variants a minute are made, ${LIMITS.burst} at once.`,
      retryAfterMs: viewBucket(state, LIMITS, nowMs).nextMs,
    });
  }

  /** A bucket that fails costs making it again, not the answer. */
  async #store(
    name: string,
    made: {
      readonly bytes: Uint8Array<ArrayBuffer>;
      readonly variant: Variant;
      readonly createdMs: number;
      readonly sha256: string;
    },
  ): Promise<void> {
    const { bytes, variant, sha256 } = made;
    const { sql } = this.ctx.storage;
    sql.exec('INSERT OR REPLACE INTO variant VALUES (?, ?)', name, Date.now());
    const names = this.#names();
    const extra = names.slice(0, Math.max(0, names.length - VARIANTS_MAX));
    for (const old of extra) sql.exec('DELETE FROM variant WHERE name = ?', old);
    try {
      await this.env.IMAGES.put(name, bytes, {
        sha256,
        httpMetadata: { contentType: mediaTypeOf(variant.format) },
        customMetadata: toMetadata(made),
      });
      if (extra.length > 0) await this.env.IMAGES.delete(extra);
    } catch (error) {
      this.#log.error('bucket.failed', { operation: 'put', name }, error);
    }
  }

  /** Object names, oldest first. */
  #names(): string[] {
    const rows = this.ctx.storage.sql.exec<{ name: string }>(
      'SELECT name FROM variant ORDER BY at_ms, name',
    );
    return rows.toArray().map(({ name }) => name);
  }
}
