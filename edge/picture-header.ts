/**
 * What the first and last bytes of a picture file say: format and size, and whether the file is whole.
 *
 *     PNG   89 50 4E 47 0D 0A 1A 0A, IHDR with width and height (u32 big-endian) at 16, IEND at the end
 *     JPEG  FF D8, segments; SOFn holds height and width (u16 big-endian); FF D9 at the end
 *     WebP  "RIFF" size "WEBP", then VP8X, VP8L or "VP8 "; the size counts everything after it
 *
 * Never looks at pixels.
 *
 * @see https://www.w3.org/TR/png-3/#11IHDR
 * @see https://developers.google.com/speed/webp/docs/riff_container
 */
import type { ImageFormat } from '#shared/schemas/fields.ts';

export interface PictureHeader {
  readonly format: ImageFormat;
  readonly width: number;
  readonly height: number;
  /** False when the end of the file is missing. */
  readonly whole: boolean;
}

/** Undefined when the bytes are the start of no format that we serve. */
export function readPictureHeader(bytes: Uint8Array): PictureHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 30) return undefined;
  if (view.getUint32(0) === 0x8950_4e47 && view.getUint32(4) === 0x0d0a_1a0a) return readPng(view);
  if (view.getUint16(0) === 0xffd8) return readJpeg(view);
  if (ascii(view, 0, 4) === 'RIFF' && ascii(view, 8, 4) === 'WEBP') return readWebp(view);
  return undefined;
}

function readPng(view: DataView): PictureHeader | undefined {
  if (ascii(view, 12, 4) !== 'IHDR') return undefined;
  // IEND: length 0, name, CRC.
  const end = view.byteLength - 12;
  return {
    format: 'png',
    width: view.getUint32(16),
    height: view.getUint32(20),
    whole: end >= 33 && view.getUint32(end) === 0 && ascii(view, end + 4, 4) === 'IEND',
  };
}

function readJpeg(view: DataView): PictureHeader | undefined {
  const whole = view.getUint16(view.byteLength - 2) === 0xffd9;
  let at = 2;
  while (at + 9 < view.byteLength) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    // SOF0–SOF15 without DHT (C4), JPG (C8) and DAC (CC).
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return {
        format: 'jpeg',
        width: view.getUint16(at + 7),
        height: view.getUint16(at + 5),
        whole,
      };
    }
    at += 2 + view.getUint16(at + 2);
  }
  return undefined;
}

function readWebp(view: DataView): PictureHeader | undefined {
  const size = view.getUint32(4, true) + 8;
  const frame = (width: number, height: number): PictureHeader => ({
    format: 'webp',
    width,
    height,
    whole: view.byteLength >= size,
  });
  switch (ascii(view, 12, 4)) {
    case 'VP8X':
      return frame(uint24(view, 24) + 1, uint24(view, 27) + 1);
    case 'VP8L': {
      // 14 bits each of width − 1 and height − 1 after the signature byte 2F.
      const bits = view.getUint32(21, true);
      return frame((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1);
    }
    case 'VP8 ':
      return frame(view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff);
    default:
      return undefined;
  }
}

function ascii(view: DataView, at: number, length: number): string {
  let text = '';
  for (let i = 0; i < length; i += 1) text += String.fromCharCode(view.getUint8(at + i));
  return text;
}

function uint24(view: DataView, at: number): number {
  return view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
}
