/**
 * What SentencePiece does to a text before the search: charsmap, white space, dummy prefix.
 *
 * @see https://github.com/google/sentencepiece/blob/master/src/normalizer.cc, Normalizer::Normalize
 */
import type { Charsmap } from './charsmap.ts';

export interface NormalizeOptions {
  readonly charsmap: Charsmap;
  /** Pieces copied as they are, never looked up in the charsmap. */
  readonly userDefined: readonly string[];
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

/** U+2581, the visible space of SentencePiece vocabularies. */
export const SPACE_SYMBOL = '▁';

const SPACE = 0x20;
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const SPACE_SYMBOL_BYTES = encoder.encode(SPACE_SYMBOL);

/**
 * @param text  any string; lone surrogates count as U+FFFD, as invalid UTF-8 does in the reference
 * @returns the normalised text, empty when nothing but white space was in it
 */
export function normalize(text: string, options: NormalizeOptions): string {
  const space = options.escapeWhitespaces ? SPACE_SYMBOL_BYTES : Uint8Array.of(SPACE);
  const userDefined = options.userDefined.map((piece) => encoder.encode(piece));
  const parts = [...replacements(encoder.encode(text), options.charsmap, userDefined)];
  const trims = options.removeExtraWhitespaces;
  const start = trims ? parts.findIndex((part) => !(part.length === 1 && part[0] === SPACE)) : 0;
  if (start === -1 || parts.length === 0) return '';

  const bytes: number[] = options.addDummyPrefix ? [...space] : [];
  let afterSpace = trims;
  for (const part of parts.slice(start)) {
    let skip = 0;
    while (afterSpace && part[skip] === SPACE) skip++;
    for (const byte of part.subarray(skip)) {
      if (byte === SPACE) bytes.push(...space);
      else bytes.push(byte);
    }
    if (skip < part.length) afterSpace = trims && part.at(-1) === SPACE;
  }
  while (trims && endsWith(bytes, space)) bytes.length -= space.length;
  return decoder.decode(Uint8Array.from(bytes));
}

/** The text cut at charsmap entries: each entry's replacement, or the one character that has none. */
function* replacements(
  bytes: Uint8Array,
  charsmap: Charsmap,
  userDefined: readonly Uint8Array[],
): Generator<Uint8Array> {
  let position = 0;
  while (position < bytes.length) {
    const own = longestPrefix(bytes, position, userDefined);
    const match = own === 0 ? charsmap.match(bytes, position) : undefined;
    if (match !== undefined) {
      yield match.replacement;
      position += match.length;
    } else {
      const length = own === 0 ? characterLength(bytes[position]!) : own;
      yield bytes.subarray(position, position + length);
      position += length;
    }
  }
}

function longestPrefix(bytes: Uint8Array, position: number, pieces: readonly Uint8Array[]): number {
  let longest = 0;
  for (const piece of pieces) {
    if (piece.length > longest && piece.every((byte, i) => bytes[position + i] === byte)) {
      longest = piece.length;
    }
  }
  return longest;
}

/** Bytes of the UTF-8 character that starts with `lead`; the input is always well-formed. */
function characterLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

function endsWith(bytes: readonly number[], suffix: Uint8Array): boolean {
  const start = bytes.length - suffix.length;
  return start >= 0 && suffix.every((byte, i) => bytes[start + i] === byte);
}
