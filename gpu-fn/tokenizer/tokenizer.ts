/**
 * Prompt → token ids, equal to what the Python `sentencepiece` package gives.
 *
 * Special tokens that a user types (`</s>`, `<pad>`, `<extra_id_0>`) are plain text; the one end token is
 * appended here. Knows nothing about embeddings; pads never exist, since the encoder drops them anyway.
 */
import { parseCharsmap } from './charsmap.ts';
import { TokenizerFormatError } from './errors.ts';
import { normalize, SPACE_SYMBOL } from './normalize.ts';
import type { TokenizerJson } from './tokenizer-json.ts';
import { createUnigram, type Segment, type UnigramPiece } from './unigram.ts';

export interface Encoding {
  /** int32 `[T]`, 1 ≤ T ≤ maxSequenceLength, the last one is the end token */
  readonly inputIds: Int32Array;
  /** The normalised text that did not fit, empty when all did. */
  readonly droppedText: string;
  /** Words among the kept ones with a character that the vocabulary lacks, each once. */
  readonly unknownWords: readonly string[];
}

export interface Tokenizer {
  readonly maxSequenceLength: number;
  encode(text: string): Encoding;
}

export interface TokenizerOptions {
  /** tokens including the end token: 120 published, 300 Σ, 64 stickers */
  readonly maxSequenceLength: number;
}

const END_TOKEN = '</s>';

/** @throws {TokenizerFormatError} when the vocabulary lacks its unknown or end piece */
export function createTokenizer(json: TokenizerJson, options: TokenizerOptions): Tokenizer {
  const { maxSequenceLength } = options;
  const { vocab, unk_id: unkId } = json.model;
  const types = new Map(json.sentencepiece.piece_types);
  const pieces = vocab.map(([piece, score], id): UnigramPiece => {
    return { piece, score, type: types.get(id) ?? 'normal' };
  });
  const endId = pieces.findIndex(({ piece, type }) => piece === END_TOKEN && type === 'control');
  if (endId === -1)
    throw new TokenizerFormatError(`the vocabulary has no control piece ${END_TOKEN}`);
  if (pieces[unkId]?.type !== 'unknown') {
    throw new TokenizerFormatError(`piece ${unkId}, named by unk_id, is not of type unknown`);
  }
  const unigram = createUnigram(pieces, unkId);
  const normalizeOptions = {
    charsmap: parseCharsmap(Buffer.from(json.sentencepiece.charsmap, 'base64')),
    userDefined: pieces.filter(({ type }) => type === 'user_defined').map(({ piece }) => piece),
    addDummyPrefix: json.sentencepiece.add_dummy_prefix,
    removeExtraWhitespaces: json.sentencepiece.remove_extra_whitespaces,
    escapeWhitespaces: json.sentencepiece.escape_whitespaces,
  };
  return {
    maxSequenceLength,
    encode(text) {
      const segments = unigram.segment(normalize(text, normalizeOptions));
      const kept = segments.slice(0, maxSequenceLength - 1);
      return {
        inputIds: Int32Array.of(...kept.map(({ id }) => id), endId),
        droppedText: textOf(segments.slice(kept.length)).trim(),
        unknownWords: wordsWith(unkId, kept),
      };
    },
  };
}

function textOf(segments: readonly Segment[]): string {
  return segments
    .map(({ text }) => text)
    .join('')
    .replaceAll(SPACE_SYMBOL, ' ');
}

function wordsWith(id: number, segments: readonly Segment[]): string[] {
  const words = new Set<string>();
  let word: Segment[] = [];
  const close = () => {
    if (word.some((segment) => segment.id === id)) {
      for (const part of textOf(word).split(' ')) if (part !== '') words.add(part);
    }
    word = [];
  };
  for (const segment of segments) {
    if (segment.text.startsWith(SPACE_SYMBOL)) close();
    word.push(segment);
  }
  close();
  return [...words];
}
