import { describe, expect, it } from 'vitest';
import { codePoints, openSets, spellings } from '../../../training/sprites/sources.ts';
import { countWords } from '../../../training/sprites/words.ts';

describe('codePoints()', () => {
  it('codePoints() spells an emoji as file names do', () => {
    expect(codePoints('🐱')).toBe('1f431');
    expect(codePoints('❤️')).toBe('2764-fe0f');
  });
});

describe('spellings()', () => {
  it('spellings() tries the emoji with and without the presentation selector', () => {
    expect(spellings('❤️')).toEqual(['2764-fe0f', '2764']);
    expect(spellings('☕')).toEqual(['2615', '2615-fe0f']);
  });
});

describe('openSets()', () => {
  it('openSets() says how to install the drawings when they are missing', () => {
    expect(() => openSets('/nonexistent')).toThrow(
      '@lobehub/fluent-emoji-3d is not installed: run npm ci --prefix training/sprites',
    );
  });
});

describe('countWords()', () => {
  it('countWords() counts each word once an emoji, sorted, without one-letter words', () => {
    const words = countWords([
      ['red apple', 'Apple', 'a fruit'],
      ['green apple', 'pear_tree'],
    ]);
    expect([...words]).toEqual([
      ['apple', 2],
      ['fruit', 1],
      ['green', 1],
      ['pear', 1],
      ['red', 1],
      ['tree', 1],
    ]);
  });
});
