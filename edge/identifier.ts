/** Names of predictions and files: 26 lower-case letters and digits of base32, 130 random bits. */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const LENGTH = 26;

export const IDENTIFIER_PATTERN = /^[a-z2-7]{26}$/;

export function newIdentifier(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(LENGTH));
  return Array.from(bytes, (byte) => ALPHABET[byte % ALPHABET.length]).join('');
}
