/**
 * Marks a finished picture file as made by a model, without touching its pixels.
 *
 * For pictures of upstreams that we do not run: what they wrote about the picture (prompts, camera data, marks of their own)
 * is taken out, and our XMP packet goes in, as chunk or segment bytes.
 *
 *     PNG    iTXt "XML:com.adobe.xmp" after IHDR; tEXt, zTXt, iTXt, eXIf and tIME are dropped
 *     JPEG   APP1 "http://ns.adobe.com/xap/1.0/\0" after SOI or APP0; other APP1, APP13 and COM are dropped
 *     WebP   chunk "XMP " at the end, with its bit in VP8X; "XMP " and "EXIF" are dropped; VP8X is made where there is none
 *
 * @see https://www.w3.org/TR/png-3/#5Chunk-layout
 * @see ITU-T T.81, annex B
 * @see https://developers.google.com/speed/webp/docs/riff_container
 */
import type { PictureHeader } from '#shared/picture-header.ts';

type Bytes = Uint8Array<ArrayBuffer>;

const PNG_SIGNATURE_BYTES = 8;
const PNG_DROPPED = new Set(['tEXt', 'zTXt', 'iTXt', 'eXIf', 'tIME']);
const JPEG_XMP = 'http://ns.adobe.com/xap/1.0/\0';
const WEBP_DROPPED = new Set(['XMP ', 'EXIF']);
const VP8X_BYTES = 10;
const VP8X_XMP = 0x04;
const VP8X_EXIF = 0x08;
const VP8X_ALPHA = 0x10;

/**
 * @param header  of the same bytes, whole
 * @throws {RangeError} when the file is not built as its format demands
 */
export function markPicture(bytes: Uint8Array, header: PictureHeader, xmp: string): Bytes {
  const packet: Uint8Array = new TextEncoder().encode(xmp);
  switch (header.format) {
    case 'png':
      return markPng(bytes, packet);
    case 'jpeg':
      return markJpeg(bytes, packet);
    case 'webp':
      return markWebp(bytes, packet, header);
    default:
      return header.format satisfies never;
  }
}

function markPng(bytes: Uint8Array, packet: Uint8Array): Bytes {
  const parts: Uint8Array[] = [bytes.subarray(0, PNG_SIGNATURE_BYTES)];
  for (let at = PNG_SIGNATURE_BYTES; at < bytes.length; ) {
    const length = 12 + readUint32(bytes, at);
    const name = ascii(bytes, at + 4, 4);
    const chunk = take(bytes, at, length);
    at += length;
    if (!PNG_DROPPED.has(name)) parts.push(chunk);
    if (name === 'IHDR') {
      parts.push(pngChunk('iTXt', concat([text('XML:com.adobe.xmp\0\0\0\0\0'), packet])));
    }
    // What lies behind the end belongs to nobody.
    if (name === 'IEND') break;
  }
  return concat(parts);
}

function markJpeg(bytes: Uint8Array, packet: Uint8Array): Bytes {
  const parts: Uint8Array[] = [];
  const xmp = concat([text(JPEG_XMP), packet]);
  const segment = concat([Uint8Array.of(0xff, 0xe1), uint16(xmp.length + 2), xmp]);
  let at = 2;
  // A JFIF header has to stay first.
  let isPlaced = false;
  for (;;) {
    if (bytes[at] !== 0xff) throw new RangeError('a JPEG segment has no marker');
    const marker = bytes[at + 1]!;
    if (!isPlaced && marker !== 0xe0) {
      parts.push(segment);
      isPlaced = true;
    }
    // From here on it is entropy-coded data up to the end of the file.
    if (marker === 0xda) {
      parts.push(bytes.subarray(at));
      return concat([Uint8Array.of(0xff, 0xd8), ...parts]);
    }
    const length = 2 + ((bytes[at + 2]! << 8) | bytes[at + 3]!);
    const part = take(bytes, at, length);
    if (marker !== 0xe1 && marker !== 0xed && marker !== 0xfe) parts.push(part);
    at += length;
  }
}

function markWebp(bytes: Uint8Array, packet: Uint8Array, { width, height }: PictureHeader): Bytes {
  const chunks: Uint8Array[] = [];
  let extended: Bytes | undefined;
  let alpha = false;
  const end = Math.min(bytes.length, 8 + readUint32Le(bytes, 4));
  for (let at = 12; at < end; ) {
    const size = readUint32Le(bytes, at + 4);
    const name = ascii(bytes, at, 4);
    const chunk = take(bytes, at, 8 + size);
    at += 8 + size + (size & 1);
    if (name === 'VP8X') extended = chunk.slice();
    // Bit 4 of the byte after the sizes of a lossless picture says that it uses alpha.
    if (name === 'ALPH' || (name === 'VP8L' && (chunk[12]! & 0x10) !== 0)) alpha = true;
    if (name !== 'VP8X' && !WEBP_DROPPED.has(name)) chunks.push(padded(chunk));
  }
  const head = extended ?? newVp8x(width, height, alpha);
  head[8] = (head[8]! | VP8X_XMP) & ~VP8X_EXIF;
  const body = concat([text('WEBP'), head, ...chunks, padded(webpChunk('XMP ', packet))]);
  return concat([text('RIFF'), uint32Le(body.length), body]);
}

/** Flags, three reserved bytes, width − 1 and height − 1 in 24 bits each. */
function newVp8x(width: number, height: number, alpha: boolean): Bytes {
  const body = new Uint8Array(VP8X_BYTES);
  const view = new DataView(body.buffer);
  view.setUint8(0, alpha ? VP8X_ALPHA : 0);
  view.setUint16(4, (width - 1) & 0xffff, true);
  view.setUint8(6, (width - 1) >> 16);
  view.setUint16(7, (height - 1) & 0xffff, true);
  view.setUint8(9, (height - 1) >> 16);
  return webpChunk('VP8X', body);
}

function webpChunk(name: string, data: Uint8Array): Bytes {
  return concat([text(name), uint32Le(data.length), data]);
}

function padded(chunk: Uint8Array): Uint8Array {
  return chunk.length % 2 === 0 ? chunk : concat([chunk, Uint8Array.of(0)]);
}

function pngChunk(name: string, data: Uint8Array): Bytes {
  const body = concat([text(name), data]);
  return concat([uint32(data.length), body, uint32(crc32(body))]);
}

/** CRC-32 of PNG: polynomial 0xEDB88320, bit by bit; the packet has a few hundred bytes. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
  }
  return ~crc >>> 0;
}

function take(bytes: Uint8Array, at: number, length: number): Uint8Array<ArrayBuffer> {
  if (length <= 0 || at + length > bytes.length) {
    throw new RangeError(`a part of ${length} bytes at ${at} ends behind the file`);
  }
  return bytes.subarray(at, at + length) as Uint8Array<ArrayBuffer>;
}

function readUint32(bytes: Uint8Array, at: number): number {
  if (at + 4 > bytes.length) throw new RangeError('the file ends in the middle of a part');
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
}

function readUint32Le(bytes: Uint8Array, at: number): number {
  if (at + 4 > bytes.length) throw new RangeError('the file ends in the middle of a part');
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}

function ascii(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

function text(value: string): Bytes {
  return Uint8Array.from(value, (character) => character.charCodeAt(0));
}

function uint16(value: number): Bytes {
  return Uint8Array.of(value >> 8, value & 0xff);
}

function uint32(value: number): Bytes {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

function uint32Le(value: number): Bytes {
  return uint32(value).reverse();
}

function concat(parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
