/** A JSON body from a stranger: type, encoding, size, time, UTF-8, JSON, in this order. */
import { ServiceError } from '#shared/errors.ts';
import { decodeUtf8, type JsonObject, parseJsonObject } from '#shared/json.ts';

export interface ReadBodyOptions {
  readonly bytesMax: number;
  readonly deadlineMs: number;
}

/** `application/json`, with no parameter but a UTF-8 charset. */
const JSON_TYPE = /^application\/json\s*(?:;\s*charset\s*=\s*(?:utf-8|"utf-8")\s*)?$/i;

/**
 * @throws {ServiceError} `unsupported_media_type`, `unsupported_encoding`, `payload_too_large`, `request_timeout`, `invalid_utf8`, or
 *   what `parseJsonObject` refuses
 */
export async function readJsonBody(
  request: Request,
  options: ReadBodyOptions,
): Promise<JsonObject> {
  const type = request.headers.get('Content-Type') ?? '';
  if (!JSON_TYPE.test(type)) {
    throw new ServiceError('unsupported_media_type', {
      detail: 'Send the body as Content-Type: application/json in UTF-8.',
    });
  }
  const encoding = request.headers.get('Content-Encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity') {
    throw new ServiceError('unsupported_encoding', { detail: 'Send the body uncompressed.' });
  }
  return parseJsonObject(decodeUtf8(await readBytes(request, options)));
}

/**
 * The bytes of a body, whatever they are.
 *
 * @throws {ServiceError} `payload_too_large`, `request_timeout`
 */
export async function readBytes(
  request: Request,
  { bytesMax, deadlineMs }: ReadBodyOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = request.body?.getReader() as ReadableStreamDefaultReader<Uint8Array> | undefined;
  if (reader === undefined) return new Uint8Array();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(
      new ServiceError('request_timeout', {
        detail: `The body did not arrive within ${deadlineMs / 1000} s.`,
      }),
    );
  }, deadlineMs);
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late.promise]);
      if (done) break;
      size += value.length;
      if (size > bytesMax) {
        throw new ServiceError('payload_too_large', {
          detail: `The body has more than ${bytesMax} bytes.`,
        });
      }
      chunks.push(value);
    }
  } catch (error) {
    // What else is on its way is not wanted; whether the sender hears of it does not matter.
    void reader.cancel().catch(() => undefined);
    throw error;
  } finally {
    if (timer !== undefined) clearTimeout(timer);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
