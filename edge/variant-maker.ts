/**
 * Has variants made by the function: signed, bounded in time, checked before anyone sees them.
 */
import { decodeBase64 } from '#shared/base64.ts';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS } from '#shared/headers.ts';
import { encodeHex, sha256Hex } from '#shared/hex.ts';
import { readPictureHeader } from '#shared/picture-header.ts';
import { type SigningKey, signRequest } from '#shared/signature.ts';
import { type Variant, variantQuery } from '#shared/variant.ts';
import { mediaTypeOf } from './media-types.ts';
import type { StoredImage } from './stored-image.ts';

export interface VariantMakerOptions {
  /** Base URL of the function; undefined: there is none that could make variants. */
  readonly url: string | undefined;
  readonly signingKey: SigningKey | undefined;
  readonly fetch: (request: Request) => Promise<Response>;
  readonly now: () => number;
}

/** The function's own deadline, and a moment for the way. */
const DEADLINE_MS = 8000;
const BYTES_MAX = 16 * 1024 * 1024;
const RETRY_MS = 1000;

export class VariantMaker {
  readonly #options: VariantMakerOptions;

  constructor(options: VariantMakerOptions) {
    this.#options = options;
  }

  /**
   * @throws {ServiceError} `overloaded`, `model_unavailable`, `upstream_*` or `deadline_exceeded`: the original can still be had
   */
  async make(
    original: Pick<StoredImage, 'bytes' | 'format'>,
    variant: Variant,
    requestId: string,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { url, fetch } = this.#options;
    if (url === undefined) throw new ServiceError('model_unavailable', { retryAfterMs: RETRY_MS });
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), DEADLINE_MS);
    try {
      const request = await this.#request(url, original, variant);
      request.headers.set(HEADERS.requestId, requestId);
      const response = await fetch(new Request(request, { signal: controller.signal }));
      if (response.status !== 200) throw await toRefusal(response);
      return await readVariant(response, variant);
    } catch (error) {
      if (error instanceof ServiceError) throw error;
      const code = controller.signal.aborted ? 'deadline_exceeded' : 'upstream_lost';
      throw new ServiceError(code, {
        message: 'the variant was not made',
        retryAfterMs: RETRY_MS,
        cause: error,
      });
    } finally {
      clearTimeout(timer);
    }
  }

  async #request(
    base: string,
    { bytes, format }: Pick<StoredImage, 'bytes' | 'format'>,
    variant: Variant,
  ): Promise<Request> {
    const { signingKey: key, now } = this.#options;
    const url = new URL(`${base}/variants?${variantQuery(variant)}`);
    const headers = new Headers({ 'Content-Type': mediaTypeOf(format) });
    if (key !== undefined) {
      const target = { method: 'POST', path: url.pathname + url.search, body: bytes };
      const signature = await signRequest(target, { key, nowMs: now() });
      for (const [name, value] of Object.entries(signature)) headers.set(name, value);
    }
    return new Request(url, { method: 'POST', headers, body: bytes, redirect: 'manual' });
  }
}

async function toRefusal(response: Response): Promise<ServiceError> {
  const { status } = response;
  await response.body?.cancel();
  if (status === 409) return new ServiceError('overloaded', { retryAfterMs: RETRY_MS });
  if (status === 503) return new ServiceError('model_unavailable', { retryAfterMs: RETRY_MS });
  if (status === 504) return new ServiceError('deadline_exceeded', { retryAfterMs: RETRY_MS });
  const message = `the function answered ${status} for a variant`;
  return new ServiceError('upstream_invalid_response', { message });
}

async function readVariant(response: Response, variant: Variant): Promise<Uint8Array<ArrayBuffer>> {
  const refuse = (message: string) => new ServiceError('upstream_invalid_response', { message });
  if (Number(response.headers.get('Content-Length') ?? 0) > BYTES_MAX) {
    await response.body?.cancel();
    throw refuse('the variant is too large');
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length > BYTES_MAX) throw refuse('the variant is too large');
  const header = readPictureHeader(bytes);
  if (header?.format !== variant.format) throw refuse('the variant is no picture of its format');
  const { width, height } = variant;
  const fits = header.width <= (width ?? Infinity) && header.height <= (height ?? Infinity);
  if (!header.whole || !fits) throw refuse('the variant is cut off or too large');
  const promised = /^sha-256=:([A-Za-z0-9+/]{43}=):$/.exec(
    response.headers.get('Content-Digest') ?? '',
  )?.[1];
  if (promised === undefined || encodeHex(decodeBase64(promised)) !== (await sha256Hex(bytes))) {
    throw new ServiceError('upstream_mismatch', { message: 'the digest of the variant differs' });
  }
  return bytes;
}
