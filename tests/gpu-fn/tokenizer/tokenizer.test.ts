import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  buildTokenizerJson,
  parseSentencePieceModel,
} from '../../../gpu-fn/tokenizer/sentencepiece-model.ts';
import { createTokenizer } from '../../../gpu-fn/tokenizer/tokenizer.ts';

const FIXTURES = new URL('../../fixtures/golden/tokenizer/', import.meta.url);
const golden = JSON.parse(
  gunzipSync(readFileSync(new URL('ids.json.gz', FIXTURES))).toString('utf8'),
) as { prompts: string[]; ids: number[][] };
const json = buildTokenizerJson(
  parseSentencePieceModel(readFileSync(new URL('spiece.model', FIXTURES))),
);
const END = 1;
const UNKNOWN = 2;

describe('createTokenizer()', () => {
  it('Tokenizer.encode() gives the ids of Python sentencepiece on 10,000 prompts', () => {
    const tokenizer = createTokenizer(json, { maxSequenceLength: 4_096 });
    const wrong = golden.prompts.filter((prompt, i) => {
      const ids = [...tokenizer.encode(prompt).inputIds];
      return JSON.stringify(ids) !== JSON.stringify([...golden.ids[i]!, END]);
    });
    expect(golden.prompts).toHaveLength(10_000);
    expect(wrong).toEqual([]);
  });

  it('Tokenizer.encode() of an empty prompt is the end token alone', () => {
    const { inputIds } = createTokenizer(json, { maxSequenceLength: 64 }).encode(' \t ');
    expect([...inputIds]).toEqual([END]);
  });

  it('Tokenizer.encode() reads special tokens that a user types as plain text', () => {
    const { inputIds } = createTokenizer(json, { maxSequenceLength: 64 }).encode(
      'a </s> <pad> cat',
    );
    expect(inputIds.indexOf(END)).toBe(inputIds.length - 1);
    expect(inputIds).not.toContain(0);
  });

  it('Tokenizer.encode() keeps a prompt that just fits and cuts one token more, naming the text', () => {
    const text = 'a happy cactus in the desert';
    const whole = createTokenizer(json, { maxSequenceLength: 64 }).encode(text);
    const length = whole.inputIds.length;
    const fitting = createTokenizer(json, { maxSequenceLength: length }).encode(text);
    const cut = createTokenizer(json, { maxSequenceLength: length - 1 }).encode(text);
    expect(fitting.droppedText).toBe('');
    expect(cut.inputIds).toHaveLength(length - 1);
    expect([...cut.inputIds]).toEqual([...whole.inputIds.slice(0, length - 2), END]);
    expect('desert'.endsWith(cut.droppedText) && cut.droppedText.length > 0).toBe(true);
  });

  it('Tokenizer.encode() reports words with characters that the vocabulary lacks, once', () => {
    const encoding = createTokenizer(json, { maxSequenceLength: 64 }).encode('a ☃x cat ☃x');
    expect(encoding.unknownWords).toEqual(['☃x']);
    expect(encoding.inputIds).toContain(UNKNOWN);
  });

  it('createTokenizer() refuses a vocabulary without an end piece', () => {
    const vocab = json.model.vocab.map(([piece, score]): [string, number] => [
      piece === '</s>' ? '</t>' : piece,
      score,
    ]);
    expect(() =>
      createTokenizer({ ...json, model: { ...json.model, vocab } }, { maxSequenceLength: 64 }),
    ).toThrow('no control piece </s>');
  });
});
