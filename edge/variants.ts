/** The way from a request to the object that has a variant made, and the answer's way back. */
import { isErrorCode, ServiceError } from '#shared/errors.ts';
import { HEADERS } from '#shared/headers.ts';
import type { Variant } from '#shared/variant.ts';
import type { JobFailed } from './job-protocol.ts';
import { originalName, type PictureAddress } from './picture-address.ts';
import { toServiceError } from './render-error.ts';
import type { StoredImage } from './stored-image.ts';

export interface VariantOrder {
  readonly address: PictureAddress;
  readonly variant: Variant;
  readonly requestId: string;
}

/** The part of the Durable Object namespace that is used. */
export interface VariantNamespace {
  getByName(name: string): {
    fetch(request: Request): Promise<Response>;
    purge(): Promise<string[]>;
  };
}

const META_HEADER = 'Pixart-Picture';

/**
 * The variant, made now or by a request that came a moment before.
 *
 * @throws {ServiceError} `not_found` or `image_deleted` where there is no original, `rate_limited`, or why it cannot be made
 */
export async function makeVariant(
  variants: VariantNamespace,
  order: VariantOrder,
): Promise<StoredImage> {
  let response: Response;
  try {
    const request = new Request('https://variants/', {
      method: 'POST',
      body: JSON.stringify(order),
      headers: { [HEADERS.requestId]: order.requestId },
    });
    response = await variants.getByName(originalName(order.address)).fetch(request);
  } catch (cause) {
    const message = 'the object of the picture was lost';
    throw new ServiceError('upstream_lost', { message, retryAfterMs: 1000, cause });
  }
  if (response.status !== 200) {
    const { code, detail, param, retryAfterMs } = (await response.json()) as JobFailed;
    throw new ServiceError(isErrorCode(code) ? code : 'internal_error', {
      detail,
      ...(param !== undefined && { param }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
  }
  const meta = JSON.parse(response.headers.get(META_HEADER) ?? '') as Omit<StoredImage, 'bytes'>;
  return { ...meta, bytes: new Uint8Array(await response.arrayBuffer()) };
}

/** What the object answers with a variant. */
export function answerVariant({ bytes, ...meta }: StoredImage): Response {
  return new Response(bytes, { headers: { [META_HEADER]: JSON.stringify(meta) } });
}

/** What the object answers where there is none. */
export function answerFailure(error: unknown): Response {
  const { code, detail, param, retryAfterMs } = toServiceError(error);
  const failed: JobFailed = { code, detail, param, retryAfterMs };
  return Response.json(failed, { status: 400 });
}
