/** Standard base64 (RFC 4648 §4, padded) and data URIs (RFC 2397), wherever `atob` exists. */

/** Bytes handed to `String.fromCharCode` at once: well below every engine's limit of arguments. */
const SLICE = 0x8000;

/** Newer engines do it natively, several times as fast. */
interface NativeBase64 {
  toBase64?(): string;
}

export function encodeBase64(bytes: Uint8Array): string {
  const native = (bytes as NativeBase64).toBase64?.();
  if (native !== undefined) return native;
  let binary = '';
  for (let at = 0; at < bytes.length; at += SLICE) {
    binary += String.fromCharCode(...bytes.subarray(at, at + SLICE));
  }
  return btoa(binary);
}

/** @throws {RangeError} when the text is not padded base64 without white space */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
    throw new RangeError('not base64');
  }
  const native = (Uint8Array as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> })
    .fromBase64;
  if (native !== undefined) return native(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

export interface DataUri {
  readonly mediaType: string;
  readonly base64: string;
}

/** Splits `data:{media type};base64,{text}`; undefined for anything else. The text is not decoded. */
export function parseDataUri(uri: string): DataUri | undefined {
  const comma = uri.indexOf(',');
  if (comma < 0 || comma > 128) return undefined;
  const match = /^data:([a-z]+\/[a-z0-9.+-]+);base64$/.exec(uri.slice(0, comma));
  if (match === null) return undefined;
  return { mediaType: match[1]!, base64: uri.slice(comma + 1) };
}
