/** `GET|HEAD /i/{digest}.{ext}`: a picture by the digest of its bytes, immutable. */
import type { Handler } from 'hono';
import { encodeBase64 } from '#shared/base64.ts';
import { ServiceError } from '#shared/errors.ts';
import { decodeHex } from '#shared/hex.ts';
import { FILE_EXTENSIONS, IMAGE_NAME_PATTERN } from '#shared/schemas/image.ts';
import type { AppEnv, Deps } from '../app-env.ts';
import { isNotModified, parseRange } from '../conditional.ts';
import type { StoredImage } from '../image-store.ts';
import { mediaTypeOf } from '../media-types.ts';
import { renderError } from '../render-error.ts';
import { rawPath } from '../request-path.ts';

/** A picture may appear under a digest that was asked for too early. */
const MISSING_TTL = 'public, max-age=5';

export function images({ images: store }: Pick<Deps, 'images'>): Handler<AppEnv> {
  return async (c) => {
    const path = rawPath(c.req.url);
    const name = IMAGE_NAME_PATTERN.exec(path.slice('/i/'.length));
    if (name === null) throw new ServiceError('not_found');
    const [, digest = '', extension = ''] = name;
    const image = await store.readImage(digest, (work) => c.executionCtx.waitUntil(work));
    const format = extension === 'jpg' ? 'jpeg' : extension;
    if (image === undefined || image.format !== format) {
      const { surface, requestId } = c.var;
      const error = new ServiceError('not_found', { detail: 'There is no such picture.' });
      const response = renderError(error, { surface, requestId, instance: path });
      response.headers.set('Cache-Control', MISSING_TTL);
      return response;
    }
    return respond(image, c.req.raw);
  };
}

function respond(image: StoredImage, request: Request): Response {
  const { bytes, digest, format, createdMs } = image;
  const etag = `"${digest}"`;
  const lastModified = new Date(createdMs).toUTCString();
  const headers = new Headers({
    'Cache-Control': 'public, max-age=31536000, immutable',
    ETag: etag,
    'Last-Modified': lastModified,
    'Accept-Ranges': 'bytes',
    'Content-Security-Policy': "default-src 'none'; sandbox",
    'Cross-Origin-Resource-Policy': 'cross-origin',
  });
  const validators = { etag, lastModifiedMs: createdMs };
  if (isNotModified(request.headers, validators))
    return new Response(null, { status: 304, headers });

  headers.set('Content-Type', mediaTypeOf(format));
  headers.set(
    'Content-Disposition',
    `inline; filename="${digest.slice(0, 16)}.${FILE_EXTENSIONS[format]}"`,
  );
  const isHead = request.method === 'HEAD';
  const range = parseRange(request.headers, { size: bytes.length, ...validators });
  if (range === 'unsatisfiable') {
    headers.set('Content-Range', `bytes */${bytes.length}`);
    for (const name of ['Content-Type', 'Content-Disposition', 'ETag', 'Last-Modified']) {
      headers.delete(name);
    }
    headers.set('Cache-Control', 'no-store');
    return new Response(null, { status: 416, headers });
  }
  if (range !== undefined && !isHead) {
    headers.set('Content-Range', `bytes ${range.first}-${range.last}/${bytes.length}`);
    headers.set('Content-Length', String(range.last - range.first + 1));
    return new Response(bytes.subarray(range.first, range.last + 1), { status: 206, headers });
  }
  headers.set('Content-Digest', `sha-256=:${encodeBase64(decodeHex(digest))}:`);
  headers.set('Content-Length', String(bytes.length));
  return new Response(isHead ? null : bytes, { headers });
}
