import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TokenizerFormatError } from '../../../gpu-fn/tokenizer/errors.ts';
import {
  buildTokenizerJson,
  MODEL_BYTES_MAX,
  PIECE_BYTES_MAX,
  parseSentencePieceModel,
} from '../../../gpu-fn/tokenizer/sentencepiece-model.ts';
import { parseTokenizerJson } from '../../../gpu-fn/tokenizer/tokenizer-json.ts';

const bytes = readFileSync(
  new URL('../../fixtures/golden/tokenizer/spiece.model', import.meta.url),
);

/** Protobuf by hand: a field with a length, and a float32 field. */
const lengthField = (number: number, content: Uint8Array): Uint8Array =>
  Buffer.concat([varint(number * 8 + 2), varint(content.length), content]);
const floatField = (number: number, value: number): Uint8Array => {
  const content = Buffer.alloc(4);
  content.writeFloatLE(value);
  return Buffer.concat([varint(number * 8 + 5), content]);
};
const numberField = (number: number, value: number): Uint8Array =>
  Buffer.concat([varint(number * 8), varint(value)]);
const varint = (value: number): Uint8Array => {
  const out: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return Uint8Array.from([...out, left]);
    out.push((left % 128) + 128);
  }
};
const piece = (text: string, score: number, type = 1): Uint8Array =>
  lengthField(
    1,
    Buffer.concat([lengthField(1, Buffer.from(text)), floatField(2, score), numberField(3, type)]),
  );
const model = (...parts: Uint8Array[]) => Uint8Array.from(Buffer.concat(parts));
const UNKNOWN = piece('<unk>', 0, 2);

describe('parseSentencePieceModel()', () => {
  it('parseSentencePieceModel() reads the pieces, their types and the normaliser', () => {
    const parsed = parseSentencePieceModel(bytes);
    expect(parsed.pieces).toHaveLength(1_000);
    expect(parsed.pieces.slice(0, 3)).toEqual([
      { piece: '<pad>', score: 0, type: 'control' },
      { piece: '</s>', score: 0, type: 'control' },
      { piece: '<unk>', score: 0, type: 'unknown' },
    ]);
    expect(parsed.unkId).toBe(2);
    expect(parsed.normalizer).toMatchObject({
      name: 'nmt_nfkc',
      addDummyPrefix: true,
      removeExtraWhitespaces: true,
      escapeWhitespaces: true,
    });
    expect(parsed.normalizer.precompiledCharsmap).toHaveLength(240_007);
  });

  it('parseSentencePieceModel() fills in the defaults of absent fields', () => {
    const parsed = parseSentencePieceModel(
      model(UNKNOWN, lengthField(1, lengthField(1, Buffer.from('a')))),
    );
    expect(parsed.pieces[1]).toEqual({ piece: 'a', score: 0, type: 'normal' });
    expect(parsed.normalizer.addDummyPrefix).toBe(true);
  });

  it.each([
    ['no piece at all', model(), 'no piece of type UNKNOWN'],
    ['two unknown pieces', model(UNKNOWN, piece('<u>', 0, 2)), 'pieces 0 and 1 are both'],
    ['a repeated piece', model(UNKNOWN, piece('a', -1), piece('a', -2)), 'piece 2 repeats "a"'],
    ['an empty piece', model(UNKNOWN, piece('', -1)), 'piece 1 is empty'],
    ['a byte piece', model(UNKNOWN, piece('<0x00>', 0, 6)), 'unsupported type 6'],
    ['a score that is no number', model(UNKNOWN, piece('a', Number.NaN)), 'score of piece 1'],
    [
      'text that is not UTF-8',
      model(lengthField(1, lengthField(1, Uint8Array.of(0xff)))),
      'not UTF-8',
    ],
    ['a BPE model', model(UNKNOWN, lengthField(2, numberField(3, 2))), 'model_type 2'],
    ['byte fallback', model(UNKNOWN, lengthField(2, numberField(35, 1))), 'byte_fallback'],
    [
      'a length beyond the end',
      model(Uint8Array.of(0x0a, 0x7f, 0x00)),
      'cut short: 127 bytes wanted',
    ],
    ['a length of 2⁶³', model(Uint8Array.of(0x0a, ...Array(9).fill(0xff), 0x01)), 'cut short'],
    ['an endless number', model(Uint8Array.of(...Array(11).fill(0xff))), 'more than 10 bytes'],
    ['a group', model(Uint8Array.of(0x0b)), 'wire type 3'],
    ['field number 0', model(Uint8Array.of(0x00, 0x00)), 'field number 0'],
    ['a piece of the wrong wire type', model(numberField(1, 5)), 'pieces is no byte field'],
    [
      'a damaged charsmap',
      model(UNKNOWN, lengthField(3, lengthField(2, Uint8Array.of(8, 0, 0, 0)))),
      'charsmap',
    ],
  ])('parseSentencePieceModel() refuses %s', (_, input, message) => {
    expect(() => parseSentencePieceModel(input)).toThrow(TokenizerFormatError);
    expect(() => parseSentencePieceModel(input)).toThrow(message);
  });

  it('parseSentencePieceModel() takes the longest piece and refuses one byte more', () => {
    const longest = model(UNKNOWN, piece('a'.repeat(PIECE_BYTES_MAX), -1));
    expect(parseSentencePieceModel(longest).pieces).toHaveLength(2);
    const longer = model(UNKNOWN, piece('a'.repeat(PIECE_BYTES_MAX + 1), -1));
    expect(() => parseSentencePieceModel(longer)).toThrow('has 1025 bytes, limit 1024');
  });

  it('parseSentencePieceModel() refuses a file above the limit before reading it', () => {
    expect(() => parseSentencePieceModel(new Uint8Array(MODEL_BYTES_MAX + 1))).toThrow(
      'limit 8388608',
    );
  });

  it('parseSentencePieceModel() ends in a typed error wherever the file is cut', () => {
    for (let length = 1; length < bytes.length; length += 997) {
      const cut = bytes.subarray(0, length);
      try {
        parseSentencePieceModel(cut);
      } catch (error) {
        expect(error).toBeInstanceOf(TokenizerFormatError);
      }
    }
  });
});

describe('buildTokenizerJson()', () => {
  it('buildTokenizerJson() survives JSON and is accepted by parseTokenizerJson()', () => {
    const json = buildTokenizerJson(parseSentencePieceModel(bytes));
    expect(parseTokenizerJson(JSON.stringify(json))).toEqual(json);
    expect(json.model.vocab).toHaveLength(1_000);
    expect(json.sentencepiece.piece_types).toEqual([
      [0, 'control'],
      [1, 'control'],
      [2, 'unknown'],
      [3, 'user_defined'],
      [4, 'user_defined'],
    ]);
  });
});
