/**
 * `GET|HEAD /i/{digest}.{ext}`: a picture by the digest of its bytes, immutable, or a variant of it.
 *
 * The extension chooses the format, `w h fit q` the rest. What is not there yet is made by the function and stored; originals
 * and stored variants need nobody. With a signature the picture is the private one of the account that it names.
 */
import type { Context, Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS } from '#shared/headers.ts';
import type { ImageFormat } from '#shared/schemas/fields.ts';
import { IMAGE_NAME_PATTERN } from '#shared/schemas/image.ts';
import { isSigned, verifyUrl } from '#shared/signed-url.ts';
import { asksForVariant, parseVariant, type Variant, variantTag } from '#shared/variant.ts';
import { answerPicture } from '../answer-picture.ts';
import type { AppEnv, Deps } from '../app-env.ts';
import type { Found } from '../image-store.ts';
import type { PictureAddress } from '../picture-address.ts';
import { renderError } from '../render-error.ts';
import { rawPath } from '../request-path.ts';
import type { StoredImage } from '../stored-image.ts';
import { makeVariant } from '../variants.ts';

type ImagesDeps = Pick<Deps, 'images' | 'variants' | 'config' | 'now'>;

/** What was found for a request, and how. */
interface Result {
  readonly image: StoredImage;
  /** Undefined: it is the original. */
  readonly variant: Variant | undefined;
  /** Whether it was made just now. */
  readonly made: boolean;
}

const YEAR_SECONDS = 31_536_000;
/** A picture may appear under a digest that was asked for too early. */
const MISSING_TTL = 'public, max-age=5';

export function images(deps: ImagesDeps): Handler<AppEnv> {
  const { config, now } = deps;
  return async (c) => {
    const path = rawPath(c.req.url);
    const name = IMAGE_NAME_PATTERN.exec(path.slice('/i/'.length));
    if (name === null) throw new ServiceError('not_found');
    const [, digest = '', extension = ''] = name;
    const format = (extension === 'jpg' ? 'jpeg' : extension) as ImageFormat;
    const query = new URL(c.req.url).searchParams;

    let owner: string | undefined;
    if (isSigned(query)) {
      c.set('isPrivate', true);
      const { urlSigningKeys: keys } = config;
      owner = (await verifyUrl({ path, query }, { keys, nowMs: now() })).scope;
    }
    const result = await find(deps, c, { address: { digest, owner }, format, query });
    if (result === undefined) return answerMissing(c, path);
    const { image, variant, made } = result;
    return answerPicture(image, c.req.raw, {
      cacheControl: cacheControl(image, deps, c.var.isPrivate),
      etag: variant === undefined ? `"${digest}"` : `"${digest}-${await variantTag(variant)}"`,
      headers: {
        [HEADERS.cacheStatus]: made ? 'pixart-edge; fwd=miss; stored' : 'pixart-edge; hit',
      },
    });
  };
}

/** @throws {ServiceError} `image_deleted`, `invalid_query`, or why a variant cannot be made */
async function find(
  { images: store, variants }: ImagesDeps,
  c: Context<AppEnv>,
  {
    address,
    format,
    query,
  }: {
    readonly address: PictureAddress;
    readonly format: ImageFormat;
    readonly query: URLSearchParams;
  },
): Promise<Result | undefined> {
  const waitUntil = (work: Promise<unknown>) => c.executionCtx.waitUntil(work);
  const variant = parseVariant(format, query);
  if (asksForVariant(query)) {
    const stored = present(await store.findVariant(address, variant, waitUntil));
    if (stored !== undefined) return { image: stored, variant, made: false };
  }
  const original = present(await store.findImage(address, waitUntil));
  if (original === undefined) return undefined;
  if (!asksForVariant(query)) {
    if (original.format === format) return { image: original, variant: undefined, made: false };
    const stored = present(await store.findVariant(address, variant, waitUntil));
    if (stored !== undefined) return { image: stored, variant, made: false };
  }
  const order = { address, variant, requestId: c.var.requestId };
  const image = await c.var.times.measure('image', () => makeVariant(variants, order));
  store.rememberVariant(variant, image, waitUntil);
  return { image, variant, made: true };
}

function present(found: Found): StoredImage | undefined {
  if (found === 'deleted') throw new ServiceError('image_deleted');
  return found;
}

/** A public picture never changes, but it may have to go; a private one is kept by nobody. */
function cacheControl(
  { createdMs }: StoredImage,
  { config, now }: ImagesDeps,
  isPrivate: boolean,
): string {
  if (isPrivate) return 'private, no-store';
  const { retentionMs = Number.POSITIVE_INFINITY } = config;
  const leftSeconds = Math.floor((createdMs + retentionMs - now()) / 1000);
  return `public, max-age=${Math.max(0, Math.min(YEAR_SECONDS, leftSeconds))}, immutable`;
}

function answerMissing(c: Context<AppEnv>, path: string): Response {
  const { surface, requestId, isPrivate } = c.var;
  const error = new ServiceError('not_found', { detail: 'There is no such picture.' });
  const response = renderError(error, { surface, requestId, instance: path });
  if (!isPrivate) response.headers.set('Cache-Control', MISSING_TTL);
  return response;
}
