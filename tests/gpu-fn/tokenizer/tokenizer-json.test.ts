import { describe, expect, it } from 'vitest';
import { TokenizerFormatError } from '../../../gpu-fn/tokenizer/errors.ts';
import { parseTokenizerJson } from '../../../gpu-fn/tokenizer/tokenizer-json.ts';

const SMALL = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false },
  model: { type: 'Unigram', unk_id: 0, vocab: [['<unk>', 0]], byte_fallback: false },
  sentencepiece: {
    charsmap: '',
    add_dummy_prefix: true,
    remove_extra_whitespaces: true,
    escape_whitespaces: true,
    piece_types: [[0, 'unknown']],
  },
};

describe('parseTokenizerJson()', () => {
  it('parseTokenizerJson() returns what it was given when every member is right', () => {
    expect(parseTokenizerJson(JSON.stringify(SMALL))).toEqual(SMALL);
  });

  it.each([
    ['text that is not JSON', '{', 'is not JSON'],
    [
      'a BPE model',
      JSON.stringify({ ...SMALL, model: { ...SMALL.model, type: 'BPE' } }),
      'model.type',
    ],
    [
      'an empty vocabulary',
      JSON.stringify({ ...SMALL, model: { ...SMALL.model, vocab: [] } }),
      'model.vocab',
    ],
    ['added tokens', JSON.stringify({ ...SMALL, added_tokens: ['</s>'] }), 'added_tokens.0'],
    [
      'a missing charsmap',
      JSON.stringify({ ...SMALL, sentencepiece: {} }),
      'sentencepiece.charsmap',
    ],
  ])('parseTokenizerJson() refuses %s and names the member', (_, text, member) => {
    expect(() => parseTokenizerJson(text)).toThrow(TokenizerFormatError);
    expect(() => parseTokenizerJson(text)).toThrow(member);
  });
});
