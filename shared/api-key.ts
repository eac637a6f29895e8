/**
 * API keys: `pxe_sk_{id}_{secret}{crc}` for servers, `pxe_pk_…` for pages that anyone may read.
 *
 * Only the SHA-256 of a key is ever stored. The CRC tells a mistyped key from an unknown one without a look-up; it protects
 * nothing.
 */
import { sha256Hex } from './hex.ts';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ID_ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';
const ID_LENGTH = 12;
/** 32 characters of 62: 190 bits. */
const SECRET_LENGTH = 32;
const CRC_LENGTH = 6;

export const API_KEY_ID_PATTERN = /^[a-z0-9]{12}$/;
const API_KEY_PATTERN = /^(pxe_(?:sk|pk)_([a-z0-9]{12})_[0-9A-Za-z]{32})([0-9A-Za-z]{6})$/;

/** `secret`: kept by a server. `publishable`: printed into pages, good only from the origins it lists. */
export const API_KEY_TYPES = ['secret', 'publishable'] as const;
export type ApiKeyType = (typeof API_KEY_TYPES)[number];

export interface NewApiKey {
  /** Shown once, never stored. */
  readonly key: string;
  readonly id: string;
  /** SHA-256 of the whole key, 64 hexadecimal digits. */
  readonly sha256: string;
}

/** @param id  of the key whose secret this replaces; absent: a new one */
export async function createApiKey({
  type = 'secret',
  id = randomText(ID_ALPHABET, ID_LENGTH),
}: {
  readonly type?: ApiKeyType;
  readonly id?: string;
} = {}): Promise<NewApiKey> {
  const prefix = type === 'secret' ? 'pxe_sk' : 'pxe_pk';
  const body = `${prefix}_${id}_${randomText(ALPHABET, SECRET_LENGTH)}`;
  const key = body + checksum(body);
  return { key, id, sha256: await sha256Hex(key) };
}

/** Id of a key whose form and checksum are right, else undefined. Says nothing about whether the key exists. */
export function parseApiKey(key: string): { readonly id: string } | undefined {
  const match = API_KEY_PATTERN.exec(key);
  if (match === null) return undefined;
  const [, body = '', id = '', crc] = match;
  return checksum(body) === crc ? { id } : undefined;
}

function randomText(alphabet: string, length: number): string {
  let text = '';
  // Bytes at or above the largest multiple of the alphabet's length are thrown away: no letter is favoured.
  const usable = 256 - (256 % alphabet.length);
  while (text.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(length))) {
      if (byte < usable && text.length < length) text += alphabet[byte % alphabet.length];
    }
  }
  return text;
}

/** CRC-32 (IEEE 802.3) of ASCII text as six digits of base 62. */
function checksum(text: string): string {
  let crc = 0xffff_ffff;
  for (let i = 0; i < text.length; i += 1) {
    crc ^= text.charCodeAt(i);
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
  }
  let value = ~crc >>> 0;
  let digits = '';
  for (let i = 0; i < CRC_LENGTH; i += 1) {
    digits = ALPHABET[value % ALPHABET.length] + digits;
    value = Math.floor(value / ALPHABET.length);
  }
  return digits;
}
