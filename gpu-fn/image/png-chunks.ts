/**
 * The parts of a PNG file that its pixels depend on, and nothing else.
 *
 * Text and other ancillary chunks may inflate to a thousand times their size in a decoder that reads them all; here
 * they are left out before one sees the file.
 *
 * @see https://www.w3.org/TR/png-3/#5DataRep
 */
import { inflateSync } from 'node:zlib';

const SIGNATURE_BYTES = 8;
/** Length, type and CRC. */
const FRAME_BYTES = 12;
const NEEDED: readonly string[] = ['IHDR', 'PLTE', 'tRNS', 'gAMA', 'sRGB', 'iCCP', 'IDAT', 'IEND'];

/** The largest colour profile that is used, in bytes. */
export const PROFILE_BYTES_MAX = 1 << 20;

/** A file whose chunks do not follow one another, or whose profile is too large. */
export class PngError extends Error {
  override readonly name = 'PngError';
}

/** @throws {PngError} */
export function keepPixelChunks(file: Uint8Array): Uint8Array {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const kept = [bytes.subarray(0, SIGNATURE_BYTES)];
  let at = SIGNATURE_BYTES;
  while (at < bytes.length) {
    if (at + FRAME_BYTES > bytes.length) throw new PngError(`byte ${at}: half a chunk`);
    const end = at + FRAME_BYTES + bytes.readUInt32BE(at);
    if (end > bytes.length) throw new PngError(`byte ${at}: a chunk that is longer than the file`);
    const type = bytes.toString('latin1', at + 4, at + 8);
    if (NEEDED.includes(type)) kept.push(bytes.subarray(at, end));
    if (type === 'iCCP') checkProfile(bytes.subarray(at + 8, end - 4));
    if (type === 'IEND') break;
    at = end;
  }
  return Buffer.concat(kept);
}

/** Name, NUL, compression method, zlib stream. */
function checkProfile(data: Buffer): void {
  const start = data.indexOf(0) + 2;
  try {
    inflateSync(data.subarray(start), { maxOutputLength: PROFILE_BYTES_MAX });
  } catch (cause) {
    throw new PngError(
      `a colour profile that cannot be read or is over ${PROFILE_BYTES_MAX} bytes`,
      {
        cause,
      },
    );
  }
}
