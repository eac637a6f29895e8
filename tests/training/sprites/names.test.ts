import { describe, expect, it } from 'vitest';
import { CONCEPTS } from '../../../training/sprites/concepts.ts';
import { articleOf, pluralOf } from '../../../training/sprites/names.ts';

describe('articleOf()', () => {
  it.each([
    ['cat', 'a'],
    ['apple', 'an'],
    ['unicorn', 'a'],
    ['umbrella', 'an'],
    ['ufo', 'a'],
    ['alien ship', 'an'],
    ['t-shirt', 'a'],
    ['sunglasses', ''],
    ['cool shades', ''],
    ['pair of sunglasses', 'a'],
    ['bucket of popcorn', 'a'],
    ['magnifying glass', 'a'],
  ])('articleOf() puts the article before %s', (name, article) => {
    expect(articleOf({ name })).toBe(article);
  });

  it('articleOf() follows the concept where it states its own article', () => {
    expect(articleOf({ name: 'honour', article: 'an' })).toBe('an');
  });
});

describe('pluralOf()', () => {
  it.each([
    ['cat', 'cats'],
    ['fox', 'foxes'],
    ['bus', 'buses'],
    ['strawberry', 'strawberries'],
    ['donkey', 'donkeys'],
    ['peach', 'peaches'],
    ['tomato', 'tomatoes'],
    ['magnifying glass', 'magnifying glasses'],
  ])('pluralOf() makes the plural of %s', (name, plural) => {
    expect(pluralOf({ name })).toBe(plural);
  });

  it('pluralOf() follows the concept where it states its own plural', () => {
    expect(pluralOf({ name: 'mouse', plural: 'mice' })).toBe('mice');
  });
});

describe('CONCEPTS', () => {
  it('CONCEPTS holds 160 concepts, each with its own name and emoji', () => {
    expect(CONCEPTS).toHaveLength(160);
    expect(new Set(CONCEPTS.map(({ name }) => name)).size).toBe(160);
    expect(new Set(CONCEPTS.map(({ emoji }) => emoji)).size).toBe(160);
  });

  it('CONCEPTS never gives one word to two concepts', () => {
    const words = CONCEPTS.flatMap(({ name, synonyms }) => [name, ...synonyms]);
    expect(words.filter((word, index) => words.indexOf(word) !== index)).toEqual([]);
  });

  it('CONCEPTS spells every word in lower-case ASCII', () => {
    for (const { name, synonyms } of CONCEPTS) {
      for (const word of [name, ...synonyms]) expect(word).toMatch(/^[a-z][a-z -]*[a-z]$/);
    }
  });
});
