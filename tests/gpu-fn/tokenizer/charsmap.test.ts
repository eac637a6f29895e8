import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseCharsmap, REPLACEMENT_BYTES_MAX } from '../../../gpu-fn/tokenizer/charsmap.ts';
import { TokenizerFormatError } from '../../../gpu-fn/tokenizer/errors.ts';
import { parseSentencePieceModel } from '../../../gpu-fn/tokenizer/sentencepiece-model.ts';

const { normalizer } = parseSentencePieceModel(
  readFileSync(new URL('../../fixtures/golden/tokenizer/spiece.model', import.meta.url)),
);

describe('parseCharsmap()', () => {
  it.each([
    ['ﬃ', 3, 'ffi'],
    ['\u212b', 3, '\u00c5'], // the Ångström sign
    ['e\u0301x', 3, 'é'], // two code points compose
    ['\u00a0', 2, ' '],
    ['\u200b', 3, ' '],
    ['\u0001', 1, ''],
  ])('Charsmap.match() of nmt_nfkc maps %j', (text, length, replacement) => {
    const match = parseCharsmap(normalizer.precompiledCharsmap).match(Buffer.from(text), 0);
    expect(match?.length).toBe(length);
    expect(Buffer.from(match?.replacement ?? []).toString()).toBe(replacement);
  });

  it('Charsmap.match() leaves a plain letter alone, and starts where it is told', () => {
    const charsmap = parseCharsmap(normalizer.precompiledCharsmap);
    expect(charsmap.match(Buffer.from('a'), 0)).toBeUndefined();
    expect(charsmap.match(Buffer.from('aﬁ'), 1)?.length).toBe(3);
  });

  it('Charsmap.match() of an empty map never matches', () => {
    expect(parseCharsmap(new Uint8Array(0)).match(Buffer.from('ﬁ'), 0)).toBeUndefined();
  });

  /** A map of one entry, `a` → `length` times `b`: root, node of `a`, its leaf. */
  const oneEntry = (length: number) => {
    const units = new Uint32Array(256);
    units[0] = 1 << 10; // children of the root begin at 1 ^ byte
    units[1 ^ 0x61] = 0x61 | (1 << 8) | (0x80 << 10); // has a leaf, at (1 ^ 0x61) ^ 0x80
    units[1 ^ 0x61 ^ 0x80] = 0x80000000; // value 0
    const size = Uint32Array.of(units.byteLength);
    return Buffer.concat([
      Buffer.from(size.buffer),
      Buffer.from(units.buffer),
      Buffer.from(`${'b'.repeat(length)}\0`),
    ]);
  };

  it('Charsmap.match() takes the longest replacement and refuses one byte more', () => {
    const text = Buffer.from('a');
    const longest = parseCharsmap(oneEntry(REPLACEMENT_BYTES_MAX)).match(text, 0);
    expect(longest?.replacement).toHaveLength(256);
    const longer = parseCharsmap(oneEntry(REPLACEMENT_BYTES_MAX + 1));
    expect(() => longer.match(text, 0)).toThrow('has 257 bytes, limit 256');
  });

  it.each([
    ['three bytes', Uint8Array.of(4, 0, 0)],
    ['a trie beyond the end', Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0)],
    ['a trie that is no whole number of units', Uint8Array.of(3, 0, 0, 0, 1, 2, 3, 0)],
    ['an empty trie', Uint8Array.of(0, 0, 0, 0, 0)],
    ['replacements that do not end', Uint8Array.of(4, 0, 0, 0, 0, 0, 0, 0, 65)],
  ])('parseCharsmap() refuses %s', (_, bytes) => {
    expect(() => parseCharsmap(bytes)).toThrow(TokenizerFormatError);
  });

  it('Charsmap.match() of a damaged trie matches nothing or throws, but never runs away', () => {
    const bytes = normalizer.precompiledCharsmap.slice();
    for (let i = 4; i < bytes.length; i += 7) bytes[i] = (bytes[i]! + i) & 0xff;
    const charsmap = parseCharsmap(Uint8Array.from([...bytes.subarray(0, -1), 0]));
    const text = Buffer.from('ﬁ e\u0301 日本 ＡＢＣ');
    for (let position = 0; position < text.length; position++) {
      try {
        charsmap.match(text, position);
      } catch (error) {
        expect(error).toBeInstanceOf(TokenizerFormatError);
      }
    }
  });
});
