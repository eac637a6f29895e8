/**
 * SentencePiece's precompiled character map: the normaliser (NFKC and more) that a vocabulary was trained
 * with, as a Darts double-array trie from UTF-8 byte strings to replacement strings.
 *
 * | bytes      | content                                               |
 * |------------|-------------------------------------------------------|
 * | 0–3        | uint32 LE, size S of the trie in bytes                |
 * | 4–(S + 3)  | uint32 LE units of the double array                   |
 * | the rest   | NUL-terminated UTF-8 replacements, named by byte offset |
 *
 * @see https://github.com/google/sentencepiece/blob/master/src/normalizer.cc
 * @see https://github.com/s-yata/darts-clone, unit layout
 */
import { TokenizerFormatError } from './errors.ts';

export interface Charsmap {
  /**
   * The longest entry that starts at `position`.
   *
   * @returns bytes matched and their replacement, or undefined when no entry starts there
   */
  match(
    text: Uint8Array,
    position: number,
  ): { readonly length: number; readonly replacement: Uint8Array } | undefined;
}

/** The longest of NFKC, U+FDFA, has 33 bytes. */
export const REPLACEMENT_BYTES_MAX = 256;

/**
 * @param bytes  the model's `precompiled_charsmap`; empty means that nothing is replaced
 * @throws {TokenizerFormatError} when sizes disagree or the last replacement does not end
 */
export function parseCharsmap(bytes: Uint8Array): Charsmap {
  if (bytes.length === 0) {
    return { match: () => undefined };
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const trieBytes = bytes.length >= 4 ? view.getUint32(0, true) : 0;
  if (trieBytes === 0 || trieBytes % 4 !== 0 || trieBytes > bytes.length - 4) {
    throw new TokenizerFormatError(
      `charsmap of ${bytes.length} bytes cannot hold a trie of ${trieBytes} bytes`,
    );
  }
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) =>
    view.getUint32(4 + 4 * i, true),
  );
  const replacements = bytes.subarray(4 + trieBytes);
  if (replacements.at(-1) !== 0) {
    throw new TokenizerFormatError('the replacements of the charsmap do not end with NUL');
  }
  return {
    match(text, position) {
      const found = longestMatch(units, text, position);
      if (found === undefined) return undefined;
      const end = replacements.indexOf(0, found.value);
      if (end === -1) {
        throw new TokenizerFormatError(
          `charsmap names a replacement at ${found.value}, past its end`,
        );
      }
      if (end - found.value > REPLACEMENT_BYTES_MAX) {
        throw new TokenizerFormatError(
          `the replacement at ${found.value} has ${end - found.value} bytes, limit ${REPLACEMENT_BYTES_MAX}`,
        );
      }
      return { length: found.length, replacement: replacements.subarray(found.value, end) };
    },
  };
}

function longestMatch(
  units: Uint32Array,
  text: Uint8Array,
  position: number,
): { length: number; value: number } | undefined {
  let found: { length: number; value: number } | undefined;
  let node = offsetOf(units[0]!);
  for (let i = position; i < text.length; i++) {
    const byte = text[i]!;
    node ^= byte;
    const unit = units[node]; // undefined beyond the array: a damaged trie matches nothing further
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) break;
    node ^= offsetOf(unit);
    if ((unit >>> 8) & 1) {
      const leaf = units[node];
      if (leaf === undefined) break;
      found = { length: i + 1 - position, value: leaf & 0x7fffffff };
    }
  }
  return found;
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
