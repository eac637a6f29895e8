/**
 * The finished picture of a hosted model: fetched from where the host keeps it, marked, and handed on as a data URI.
 *
 * The URL comes out of somebody else's answer. Only hosts that belong to the API are asked, without credentials, without
 * following anybody further, and for no more bytes than a picture of that size can have.
 */
import { decodeBase64, encodeBase64, parseDataUri } from '#shared/base64.ts';
import { ServiceError } from '#shared/errors.ts';
import { sha256Hex } from '#shared/hex.ts';
import { readPictureHeader } from '#shared/picture-header.ts';
import { mediaTypeOf } from '../media-types.ts';
import { markPicture } from '../picture-mark.ts';
import { readBounded } from './read-bounded.ts';
import type { Watch } from './watch.ts';

export interface HostedPictureOptions {
  readonly bytesMax: number;
  /** Origin of the API: it may keep files too. */
  readonly apiOrigin: string;
  readonly xmp: string;
  readonly fetch: (request: Request) => Promise<Response>;
  readonly watch: Watch;
}

export interface HostedPicture {
  readonly dataUri: string;
  readonly digest: string;
}

/** Where Replicate keeps what its models make. */
const FILE_HOST_PATTERN = /^(?:[a-z0-9-]+\.)*replicate\.delivery$/;

/** @throws {ServiceError} `upstream_invalid_response`, `upstream_truncated`, or what the watch stops with */
export async function readHostedPicture(
  output: unknown,
  options: HostedPictureOptions,
): Promise<HostedPicture> {
  const bytes = await readFile(firstOf(output), options);
  const header = readPictureHeader(bytes);
  if (header === undefined) throw invalid('the result is no picture');
  if (!header.whole) throw new ServiceError('upstream_truncated', { retryAfterMs: 1000 });
  let marked: Uint8Array<ArrayBuffer>;
  try {
    marked = markPicture(bytes, header, options.xmp);
  } catch (cause) {
    throw invalid('the picture cannot be marked', cause);
  }
  return {
    dataUri: `data:${mediaTypeOf(header.format)};base64,${encodeBase64(marked)}`,
    digest: await sha256Hex(marked),
  };
}

/** One picture: a string, or a list that holds one. */
function firstOf(output: unknown): string {
  const [first, ...more] = Array.isArray(output) ? output : [output];
  if (typeof first !== 'string' || more.length > 0) throw invalid('the result is not one file');
  return first;
}

async function readFile(uri: string, options: HostedPictureOptions): Promise<Uint8Array> {
  const data = parseDataUri(uri);
  if (data !== undefined) {
    if (data.base64.length > options.bytesMax * 1.4) throw invalid('the picture is too large');
    try {
      return decodeBase64(data.base64);
    } catch (cause) {
      throw invalid('the result is not base64', cause);
    }
  }
  const { watch, bytesMax } = options;
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  if (url === undefined || !isFileUrl(url, options.apiOrigin)) {
    throw invalid('the result lies on a host that is not the API’s');
  }
  const response = await watch.guard(
    options.fetch(new Request(url, { signal: watch.signal, redirect: 'manual' })),
  );
  watch.headArrived();
  if (response.status !== 200) {
    await response.body?.cancel();
    throw invalid(`the file of the picture answered ${response.status}`);
  }
  const { bytes, isCut } = await readBounded(response, { watch, bytesMax });
  if (isCut) throw invalid(`the picture has more than ${bytesMax} bytes`);
  const promised = Number(response.headers.get('Content-Length') ?? bytes.length);
  // An encoded body has another length, and a picture has no reason to come encoded.
  if (promised !== bytes.length && !response.headers.has('Content-Encoding')) {
    throw new ServiceError('upstream_truncated', { retryAfterMs: 1000 });
  }
  return bytes;
}

function isFileUrl(url: URL, apiOrigin: string): boolean {
  if (url.username !== '' || url.password !== '') return false;
  if (url.origin === apiOrigin) return true;
  return url.protocol === 'https:' && url.port === '' && FILE_HOST_PATTERN.test(url.hostname);
}

function invalid(message: string, cause?: unknown): ServiceError {
  return new ServiceError('upstream_invalid_response', {
    message,
    ...(cause !== undefined && { cause }),
  });
}
