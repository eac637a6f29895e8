import { describe, expect, it } from 'vitest';
import { parseCharsmap } from '../../../gpu-fn/tokenizer/charsmap.ts';
import { normalize } from '../../../gpu-fn/tokenizer/normalize.ts';

const options = {
  charsmap: parseCharsmap(new Uint8Array(0)),
  userDefined: [],
  addDummyPrefix: true,
  removeExtraWhitespaces: true,
  escapeWhitespaces: true,
};

describe('normalize()', () => {
  it.each([
    ['', ''],
    ['   ', ''],
    ['cat', '▁cat'],
    ['  a   cat ', '▁a▁cat'],
    ['日本 猫', '▁日本▁猫'],
    ['\ud800', '▁\ufffd'],
  ])('normalize() turns %j into %j', (text, normalized) => {
    expect(normalize(text, options)).toBe(normalized);
  });

  it('normalize() keeps extra white space when told so', () => {
    expect(normalize(' a  b ', { ...options, removeExtraWhitespaces: false })).toBe('▁▁a▁▁b▁');
  });

  it('normalize() adds no prefix and escapes no space when told so', () => {
    const plain = { ...options, addDummyPrefix: false, escapeWhitespaces: false };
    expect(normalize(' a  b ', plain)).toBe('a b');
  });

  it('normalize() copies user-defined pieces without looking them up', () => {
    const charsmap = {
      match: (text: Uint8Array, position: number) =>
        text[position] === 0x61 ? { length: 1, replacement: Uint8Array.of(0x62) } : undefined,
    };
    const custom = { ...options, charsmap, userDefined: ['aa'] };
    expect(normalize('a aa aaa', custom)).toBe('▁b▁aa▁aab');
  });
});
