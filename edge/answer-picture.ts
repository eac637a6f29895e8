/** A picture file as an HTTP answer: validators, ranges, HEAD, and headers that keep a browser from taking it for a page. */
import { encodeBase64 } from '#shared/base64.ts';
import { decodeHex } from '#shared/hex.ts';
import { FILE_EXTENSIONS } from '#shared/schemas/image.ts';
import { isNotModified, parseRange, preconditionFails } from './conditional.ts';
import { mediaTypeOf } from './media-types.ts';
import type { StoredImage } from './stored-image.ts';

export interface AnswerOptions {
  readonly cacheControl: string;
  /** Strong, with its quotes. */
  readonly etag: string;
  /** Beside those that every picture has. */
  readonly headers?: Readonly<Record<string, string>>;
}

export function answerPicture(
  image: Pick<StoredImage, 'bytes' | 'digest' | 'format' | 'createdMs' | 'sha256'>,
  request: Request,
  { cacheControl, etag, headers: more = {} }: AnswerOptions,
): Response {
  const { bytes, digest, format, createdMs, sha256 } = image;
  const lastModified = new Date(createdMs).toUTCString();
  const headers = new Headers({
    ...more,
    'Cache-Control': cacheControl,
    ETag: etag,
    'Last-Modified': lastModified,
    'Accept-Ranges': 'bytes',
    'Content-Security-Policy': "default-src 'none'; sandbox",
    'Cross-Origin-Resource-Policy': 'cross-origin',
  });
  const validators = { etag, lastModifiedMs: createdMs };
  if (preconditionFails(request.headers, etag)) return emptyAnswer(412, headers);
  if (isNotModified(request.headers, validators)) {
    return new Response(null, { status: 304, headers });
  }
  const range = parseRange(request.headers, { size: bytes.length, ...validators });
  if (range === 'unsatisfiable') {
    headers.set('Content-Range', `bytes */${bytes.length}`);
    return emptyAnswer(416, headers);
  }
  headers.set('Content-Type', mediaTypeOf(format));
  headers.set(
    'Content-Disposition',
    `inline; filename="${digest.slice(0, 16)}.${FILE_EXTENSIONS[format]}"`,
  );
  const isHead = request.method === 'HEAD';
  if (range !== undefined && !isHead) {
    headers.set('Content-Range', `bytes ${range.first}-${range.last}/${bytes.length}`);
    headers.set('Content-Length', String(range.last - range.first + 1));
    return new Response(bytes.subarray(range.first, range.last + 1), { status: 206, headers });
  }
  headers.set('Content-Digest', `sha-256=:${encodeBase64(decodeHex(sha256))}:`);
  headers.set('Content-Length', String(bytes.length));
  return new Response(isHead ? null : bytes, { headers });
}

/** Not the picture, so nothing that describes it, and nothing to keep. */
function emptyAnswer(status: number, headers: Headers): Response {
  for (const name of ['ETag', 'Last-Modified', 'Content-Location']) headers.delete(name);
  headers.set('Cache-Control', 'no-store');
  return new Response(null, { status, headers });
}
