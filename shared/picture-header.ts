/**
 * What a picture file says of itself: format, size, whether it moves or has transparency, and whether it is whole.
 *
 *     PNG   89 50 4E 47 0D 0A 1A 0A, chunks; IHDR with width and height (u32 big-endian) at 16, IEND at the end
 *     JPEG  FF D8, segments; SOFn holds height and width (u16 big-endian); FF D9 at the end
 *     WebP  "RIFF" size "WEBP", then VP8X, VP8L or "VP8 "; the size counts everything after it
 *
 * Never looks at pixels, inflates nothing, and reads at most `PARTS_MAX` chunks or segments.
 *
 * @see https://www.w3.org/TR/png-3/#11IHDR
 * @see https://developers.google.com/speed/webp/docs/riff_container
 */
import type { ImageFormat } from './schemas/fields.ts';

export interface PictureHeader {
  readonly format: ImageFormat;
  readonly width: number;
  readonly height: number;
  /** Whether the file holds an alpha channel or a transparent colour. */
  readonly alpha: boolean;
  /** Whether it holds more than one frame. */
  readonly animated: boolean;
  /** Bytes of its colour profile as they lie in the file; 0 without one. */
  readonly profileBytes: number;
  /** False when the end of the file is missing. */
  readonly whole: boolean;
}

const PARTS_MAX = 4096;
const PNG_ALPHA_COLOUR_TYPES = [4, 6];

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
  let alpha = PNG_ALPHA_COLOUR_TYPES.includes(view.getUint8(25));
  let animated = false;
  let profileBytes = 0;
  let at = 8;
  for (let parts = 0; parts < PARTS_MAX && at + 12 <= view.byteLength; parts += 1) {
    const length = view.getUint32(at);
    const type = ascii(view, at + 4, 4);
    // All that is asked for stands before the pixels.
    if (type === 'IDAT') break;
    if (type === 'acTL') animated = true;
    if (type === 'tRNS') alpha = true;
    if (type === 'iCCP') profileBytes = length;
    at += 12 + length;
  }
  // IEND: length 0, name, CRC.
  const end = view.byteLength - 12;
  return {
    format: 'png',
    width: view.getUint32(16),
    height: view.getUint32(20),
    alpha,
    animated,
    profileBytes,
    whole: end >= 33 && view.getUint32(end) === 0 && ascii(view, end + 4, 4) === 'IEND',
  };
}

function readJpeg(view: DataView): PictureHeader | undefined {
  const whole = view.getUint16(view.byteLength - 2) === 0xffd9;
  let profileBytes = 0;
  let at = 2;
  for (let parts = 0; parts < PARTS_MAX && at + 9 < view.byteLength; parts += 1) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    // SOF0–SOF15 without DHT (C4), JPG (C8) and DAC (CC).
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return {
        format: 'jpeg',
        width: view.getUint16(at + 7),
        height: view.getUint16(at + 5),
        alpha: false,
        animated: false,
        profileBytes,
        whole,
      };
    }
    const length = view.getUint16(at + 2);
    // APP2 holds a profile, in as many segments as it needs.
    if (marker === 0xe2) profileBytes += length;
    at += 2 + length;
  }
  return undefined;
}

function readWebp(view: DataView): PictureHeader | undefined {
  const size = view.getUint32(4, true) + 8;
  const whole = view.byteLength >= size;
  const frame = (width: number, height: number, alpha: boolean): PictureHeader => {
    return { format: 'webp', width, height, alpha, animated: false, profileBytes: 0, whole };
  };
  switch (ascii(view, 12, 4)) {
    case 'VP8X': {
      const flags = view.getUint8(20);
      const header = frame(uint24(view, 24) + 1, uint24(view, 27) + 1, (flags & 0x10) !== 0);
      // The profile, where there is one, is the first chunk after it.
      const hasProfile = (flags & 0x20) !== 0 && view.byteLength >= 38;
      const profileBytes = hasProfile ? view.getUint32(34, true) : 0;
      return { ...header, animated: (flags & 0x02) !== 0, profileBytes };
    }
    case 'VP8L': {
      // 14 bits each of width − 1 and height − 1 after the signature byte 2F, then whether there is alpha.
      const bits = view.getUint32(21, true);
      return frame((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1, ((bits >>> 28) & 1) === 1);
    }
    case 'VP8 ':
      return frame(view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff, false);
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
