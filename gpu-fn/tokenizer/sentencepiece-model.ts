/**
 * Reader of SentencePiece model files (`spiece.model`) and their rendering as `tokenizer.json`.
 *
 * The file is a protobuf message; only the fields below are read, all others are skipped by wire type.
 * It is treated as hostile: every length is checked against the bytes that are left.
 *
 * | message        | field | type                | meaning                                  |
 * |----------------|-------|---------------------|------------------------------------------|
 * | ModelProto     | 1     | repeated message    | pieces, in id order                      |
 * |                | 2     | message             | trainer_spec                             |
 * |                | 3     | message             | normalizer_spec                          |
 * | SentencePiece  | 1     | string              | piece                                    |
 * |                | 2     | float32             | score (log probability)                  |
 * |                | 3     | enum                | type, see PIECE_TYPES                    |
 * | TrainerSpec    | 3     | enum                | model_type, 1 = UNIGRAM                  |
 * |                | 35    | bool                | byte_fallback                            |
 * | NormalizerSpec | 1     | string              | name                                     |
 * |                | 2     | bytes               | precompiled_charsmap                     |
 * |                | 3 4 5 | bool, default true  | add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces |
 *
 * @see https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
 */
import { parseCharsmap } from './charsmap.ts';
import { TokenizerFormatError } from './errors.ts';
import type { PieceType, TokenizerJson } from './tokenizer-json.ts';

export interface SentencePiece {
  readonly piece: string;
  /** float32 log probability */
  readonly score: number;
  readonly type: PieceType;
}

export interface SentencePieceModel {
  /** in id order */
  readonly pieces: readonly SentencePiece[];
  readonly unkId: number;
  readonly normalizer: {
    readonly name: string;
    /** empty when the model normalises nothing */
    readonly precompiledCharsmap: Uint8Array;
    readonly addDummyPrefix: boolean;
    readonly removeExtraWhitespaces: boolean;
    readonly escapeWhitespaces: boolean;
  };
}

/** T5's file has 791,656 bytes; the largest public unigram vocabularies (256,000 pieces) stay under 6 MB. */
export const MODEL_BYTES_MAX = 8 * 2 ** 20;
export const PIECE_COUNT_MAX = 300_000;
export const PIECE_BYTES_MAX = 1_024;

/**
 * @throws {TokenizerFormatError} when the bytes are no SentencePiece unigram model, or break a limit
 */
export function parseSentencePieceModel(bytes: Uint8Array): SentencePieceModel {
  if (bytes.length > MODEL_BYTES_MAX) {
    throw new TokenizerFormatError(`the model has ${bytes.length} bytes, limit ${MODEL_BYTES_MAX}`);
  }
  const pieces: SentencePiece[] = [];
  let trainer = { modelType: UNIGRAM, byteFallback: false };
  let normalizer = parseNormalizerSpec(new Uint8Array(0));
  for (const field of readFields(bytes, 'ModelProto')) {
    if (field.number === 1) {
      if (pieces.length === PIECE_COUNT_MAX) {
        throw new TokenizerFormatError(`the vocabulary exceeds ${PIECE_COUNT_MAX} pieces`);
      }
      pieces.push(parsePiece(bytesOf(field, 'pieces'), pieces.length));
    } else if (field.number === 2) {
      trainer = parseTrainerSpec(bytesOf(field, 'trainer_spec'));
    } else if (field.number === 3) {
      normalizer = parseNormalizerSpec(bytesOf(field, 'normalizer_spec'));
    }
  }
  if (trainer.modelType !== UNIGRAM) {
    throw new TokenizerFormatError(`model_type ${trainer.modelType} is not 1 (UNIGRAM)`);
  }
  if (trainer.byteFallback) {
    throw new TokenizerFormatError('byte_fallback is on; T5 vocabularies are trained without it');
  }
  return { pieces, unkId: checkVocabulary(pieces), normalizer };
}

/**
 * The same model as a `tokenizer.json`: a Unigram vocabulary without normaliser, and what SentencePiece
 * does before the search (charsmap, white space) in the member `sentencepiece`, base64.
 */
export function buildTokenizerJson(model: SentencePieceModel): TokenizerJson {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false },
    model: {
      type: 'Unigram',
      unk_id: model.unkId,
      vocab: model.pieces.map(({ piece, score }) => [piece, score]),
      byte_fallback: false,
    },
    sentencepiece: {
      charsmap: Buffer.from(model.normalizer.precompiledCharsmap).toString('base64'),
      add_dummy_prefix: model.normalizer.addDummyPrefix,
      remove_extra_whitespaces: model.normalizer.removeExtraWhitespaces,
      escape_whitespaces: model.normalizer.escapeWhitespaces,
      piece_types: model.pieces.flatMap(({ type }, id) =>
        type === 'normal' ? [] : [[id, type] as [number, PieceType]],
      ),
    },
  };
}

const UNIGRAM = 1;
/** By number; 6 (BYTE) belongs to byte fallback, which is refused. */
const PIECE_TYPES: readonly (PieceType | undefined)[] = [
  undefined,
  'normal',
  'unknown',
  'control',
  'user_defined',
  'unused',
];

function parsePiece(bytes: Uint8Array, id: number): SentencePiece {
  let piece = '';
  let score = 0;
  let type: PieceType = 'normal';
  for (const field of readFields(bytes, `piece ${id}`)) {
    if (field.number === 1) {
      piece = stringOf(field, `piece ${id}`, PIECE_BYTES_MAX);
    } else if (field.number === 2) {
      score = floatOf(field, `score of piece ${id}`);
    } else if (field.number === 3) {
      const name = PIECE_TYPES[numberOf(field, `type of piece ${id}`)];
      if (name === undefined) {
        throw new TokenizerFormatError(`piece ${id} has an unsupported type ${field.value}`);
      }
      type = name;
    }
  }
  if (piece === '') {
    throw new TokenizerFormatError(`piece ${id} is empty`);
  }
  return { piece, score, type };
}

function parseTrainerSpec(bytes: Uint8Array): { modelType: number; byteFallback: boolean } {
  let modelType = UNIGRAM;
  let byteFallback = false;
  for (const field of readFields(bytes, 'trainer_spec')) {
    if (field.number === 3) modelType = numberOf(field, 'model_type');
    if (field.number === 35) byteFallback = numberOf(field, 'byte_fallback') !== 0;
  }
  return { modelType, byteFallback };
}

function parseNormalizerSpec(bytes: Uint8Array): SentencePieceModel['normalizer'] {
  let name = '';
  let precompiledCharsmap: Uint8Array = new Uint8Array(0);
  const flags = [true, true, true];
  for (const field of readFields(bytes, 'normalizer_spec')) {
    if (field.number === 1) name = stringOf(field, 'normalizer name', PIECE_BYTES_MAX);
    if (field.number === 2) precompiledCharsmap = bytesOf(field, 'precompiled_charsmap').slice();
    if (field.number >= 3 && field.number <= 5) {
      flags[field.number - 3] = numberOf(field, 'normalizer flag') !== 0;
    }
  }
  parseCharsmap(precompiledCharsmap); // refused here rather than at the first prompt
  const [addDummyPrefix = true, removeExtraWhitespaces = true, escapeWhitespaces = true] = flags;
  return { name, precompiledCharsmap, addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces };
}

/** @returns the id of the one piece of type UNKNOWN */
function checkVocabulary(pieces: readonly SentencePiece[]): number {
  const seen = new Set<string>();
  let unkId = -1;
  for (const [id, { piece, type }] of pieces.entries()) {
    if (seen.has(piece)) {
      throw new TokenizerFormatError(`piece ${id} repeats ${JSON.stringify(piece)}`);
    }
    seen.add(piece);
    if (type === 'unknown') {
      if (unkId !== -1) {
        throw new TokenizerFormatError(`pieces ${unkId} and ${id} are both of type UNKNOWN`);
      }
      unkId = id;
    }
  }
  if (unkId === -1) {
    throw new TokenizerFormatError('the vocabulary has no piece of type UNKNOWN');
  }
  return unkId;
}

// Protobuf wire format: a varint key = field number · 8 + wire type, then the value.

type Field =
  | { readonly number: number; readonly wire: 'varint'; readonly value: number }
  | { readonly number: number; readonly wire: 'fixed32'; readonly value: number }
  | { readonly number: number; readonly wire: 'fixed64'; readonly value: undefined }
  | { readonly number: number; readonly wire: 'bytes'; readonly value: Uint8Array };

function* readFields(bytes: Uint8Array, message: string): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = 0;
  const take = (length: number) => {
    if (length > bytes.length - position) {
      const left = bytes.length - position;
      throw new TokenizerFormatError(
        `${message} is cut short: ${length} bytes wanted, ${left} left`,
      );
    }
    position += length;
    return position - length;
  };
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[take(1)]!;
      value += (byte & 0x7f) * 2 ** shift; // above 2⁵³ only the magnitude is kept, and refused later
      if (byte < 0x80) return value;
    }
    throw new TokenizerFormatError(`${message} holds a number of more than 10 bytes`);
  };
  while (position < bytes.length) {
    const key = varint();
    const number = Math.floor(key / 8);
    if (number === 0 || number >= 2 ** 29) {
      throw new TokenizerFormatError(`${message} holds field number ${number}`);
    }
    switch (key % 8) {
      case 0:
        yield { number, wire: 'varint', value: varint() };
        break;
      case 1:
        take(8);
        yield { number, wire: 'fixed64', value: undefined };
        break;
      case 2: {
        const length = varint();
        const start = take(length);
        yield { number, wire: 'bytes', value: bytes.subarray(start, start + length) };
        break;
      }
      case 5:
        yield { number, wire: 'fixed32', value: view.getFloat32(take(4), true) };
        break;
      default:
        throw new TokenizerFormatError(`${message} holds wire type ${key % 8}`);
    }
  }
}

function bytesOf(field: Field, what: string): Uint8Array {
  if (field.wire !== 'bytes') throw new TokenizerFormatError(`${what} is no byte field`);
  return field.value;
}

function stringOf(field: Field, what: string, bytesMax: number): string {
  const bytes = bytesOf(field, what);
  if (bytes.length > bytesMax) {
    throw new TokenizerFormatError(`${what} has ${bytes.length} bytes, limit ${bytesMax}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new TokenizerFormatError(`${what} is not UTF-8`, { cause });
  }
}

function numberOf(field: Field, what: string): number {
  if (field.wire !== 'varint') throw new TokenizerFormatError(`${what} is no number field`);
  return field.value;
}

function floatOf(field: Field, what: string): number {
  if (field.wire !== 'fixed32' || !Number.isFinite(field.value)) {
    throw new TokenizerFormatError(`${what} is no finite float32`);
  }
  return field.value;
}
