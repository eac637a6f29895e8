/**
 * The capability that opens the stream of one prediction: `{object}-{id}-{secret}`, hexadecimal, base32, hexadecimal.
 *
 * Whoever has it can read the stream and nothing else; clients send no key there.
 */
import { encodeHex } from '#shared/hex.ts';

export const STREAM_TOKEN_PATTERN = /^([0-9a-f]{32})-([a-z2-7]{26})-([0-9a-f]{32})$/;

export function newStreamToken(owner: string, id: string): string {
  return `${owner}-${id}-${encodeHex(crypto.getRandomValues(new Uint8Array(16)))}`;
}

export function parseStreamToken(token: string): { owner: string; id: string } | undefined {
  const [, owner, id] = STREAM_TOKEN_PATTERN.exec(token) ?? [];
  return owner === undefined || id === undefined ? undefined : { owner, id };
}
