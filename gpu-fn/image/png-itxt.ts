/**
 * Puts an XMP packet into a PNG file, where readers look for it.
 *
 * sharp would write a compressed `zTXt` chunk, which most XMP readers pass over.
 *
 * | iTXt part          | bytes                                     |
 * |--------------------|-------------------------------------------|
 * | keyword, NUL       | `XML:com.adobe.xmp`                       |
 * | compression        | two zero bytes: none                      |
 * | language, NUL      | empty                                     |
 * | translation, NUL   | empty                                     |
 * | text               | UTF-8                                     |
 *
 * @see https://www.w3.org/TR/png-3/#11iTXt
 */
import { crc32 } from 'node:zlib';

const KEYWORD = 'XML:com.adobe.xmp';
const SIGNATURE_BYTES = 8;
/** Length, type and CRC around the 13 bytes of IHDR, which is always the first chunk. */
const IHDR_BYTES = 12 + 13;

/** @param png  a whole PNG file, as an encoder wrote it */
export function insertPngXmp(png: Uint8Array, xmp: string): Uint8Array {
  const end = SIGNATURE_BYTES + IHDR_BYTES;
  const head = Buffer.from(png.buffer, png.byteOffset, png.byteLength).subarray(0, end);
  if (head.toString('latin1', 12, 16) !== 'IHDR') {
    throw new RangeError('the PNG file does not start with IHDR');
  }
  return Buffer.concat([head, chunk('iTXt', `${KEYWORD}\0\0\0\0\0${xmp}`), png.subarray(end)]);
}

function chunk(type: string, text: string): Buffer {
  const body = Buffer.from(type + text, 'utf8');
  const bytes = Buffer.alloc(body.length + 8);
  bytes.writeUInt32BE(body.length - 4, 0);
  body.copy(bytes, 4);
  bytes.writeUInt32BE(crc32(body), body.length + 4);
  return bytes;
}
