/** Request bodies: bounded in bytes and in time. */
import type { IncomingMessage } from 'node:http';
import { ServiceError } from '#shared/errors.ts';

export interface BodyLimits {
  readonly bytesMax: number;
  /** from the first look at the body to its last byte */
  readonly deadlineMs: number;
}

/**
 * @throws {ServiceError} `payload_too_large` as soon as the declared or received length passes the bound,
 *   `request_timeout` when it arrives too slowly, `malformed_json` when the sender goes away inside it
 */
export async function readBody(
  incoming: IncomingMessage,
  { bytesMax, deadlineMs }: BodyLimits,
): Promise<Uint8Array<ArrayBuffer>> {
  const declared = Number(incoming.headers['content-length'] ?? 0);
  if (declared > bytesMax) throw tooLarge(bytesMax);
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array<ArrayBuffer>>();
  const chunks: Buffer[] = [];
  let byteLength = 0;
  const onData = (chunk: Buffer) => {
    byteLength += chunk.byteLength;
    if (byteLength > bytesMax) reject(tooLarge(bytesMax));
    else chunks.push(chunk);
  };
  const onEnd = () => resolve(new Uint8Array(Buffer.concat(chunks, byteLength)));
  const onGone = () =>
    reject(new ServiceError('malformed_json', { detail: 'The body ended too early.' }));
  const timer = setTimeout(() => {
    const detail = `The body did not arrive within ${deadlineMs / 1000} s.`;
    reject(new ServiceError('request_timeout', { detail }));
  }, deadlineMs);
  incoming.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    incoming.off('data', onData).off('end', onEnd).off('close', onGone);
  }
}

function tooLarge(bytesMax: number): ServiceError {
  const detail = `The body is larger than ${bytesMax} bytes.`;
  return new ServiceError('payload_too_large', { detail });
}
