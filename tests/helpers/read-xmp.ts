/**
 * Finds the XMP packet of a picture by walking its container, independently of the code that wrote it.
 *
 * Returns the packet and the order of the parts before it, so that tests can ask where it lies.
 */
export interface FoundXmp {
  readonly packet: string;
  /** chunk types or segment markers up to and including the one that holds the packet */
  readonly parts: readonly string[];
}

const JPEG_PREFIX = 'http://ns.adobe.com/xap/1.0/\0';
const PNG_HEADER = 'XML:com.adobe.xmp\0\0\0\0\0';

export function readXmp(file: Uint8Array): FoundXmp | undefined {
  const bytes = Buffer.from(file);
  if (bytes.readUInt32BE(0) === 0x89504e47) return readPng(bytes);
  if (bytes.readUInt16BE(0) === 0xffd8) return readJpeg(bytes);
  if (bytes.toString('latin1', 8, 12) === 'WEBP') return readWebp(bytes);
  throw new Error('neither PNG nor JPEG nor WebP');
}

function readPng(bytes: Buffer): FoundXmp | undefined {
  const parts: string[] = [];
  for (let at = 8; at < bytes.length; at += 12 + bytes.readUInt32BE(at)) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    parts.push(type);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (type === 'iTXt' && body.toString('latin1', 0, PNG_HEADER.length) === PNG_HEADER) {
      return { packet: body.toString('utf8', PNG_HEADER.length), parts };
    }
  }
  return undefined;
}

function readJpeg(bytes: Buffer): FoundXmp | undefined {
  const parts: string[] = [];
  for (let at = 2; bytes[at] === 0xff && bytes[at + 1] !== 0xda; ) {
    const length = bytes.readUInt16BE(at + 2);
    const marker = bytes[at + 1]!.toString(16);
    parts.push(marker);
    const body = bytes.subarray(at + 4, at + 2 + length);
    if (marker === 'e1' && body.toString('latin1', 0, JPEG_PREFIX.length) === JPEG_PREFIX) {
      return { packet: body.toString('utf8', JPEG_PREFIX.length), parts };
    }
    at += 2 + length;
  }
  return undefined;
}

function readWebp(bytes: Buffer): FoundXmp | undefined {
  const parts: string[] = [];
  let flagged = false;
  for (let at = 12; at < bytes.length; ) {
    const type = bytes.toString('latin1', at, at + 4);
    const length = bytes.readUInt32LE(at + 4);
    parts.push(type);
    if (type === 'VP8X') flagged = (bytes[at + 8]! & 0x04) !== 0;
    if (type === 'XMP ' && flagged) {
      return { packet: bytes.toString('utf8', at + 8, at + 8 + length), parts };
    }
    at += 8 + length + (length % 2);
  }
  return undefined;
}
