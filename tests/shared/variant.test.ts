import { describe, expect, test } from 'vitest';
import { ServiceError } from '#shared/errors.ts';
import {
  asksForVariant,
  parseVariant,
  parseVariantQuery,
  variantQuery,
  variantTag,
} from '#shared/variant.ts';

const query = (text: string) => new URLSearchParams(text);
const refusal = (read: () => unknown) => {
  try {
    read();
  } catch (error) {
    if (error instanceof ServiceError) return `${error.code} ${error.param}: ${error.detail}`;
    throw error;
  }
  return 'accepted';
};

describe('parseVariant()', () => {
  test.each([
    ['png', '', { format: 'png' }],
    ['jpeg', '', { format: 'jpeg', quality: 80 }],
    ['png', 'q=5', { format: 'png' }],
    ['webp', 'w=1&q=1', { format: 'webp', width: 1, quality: 1 }],
    ['webp', 'h=2048&q=100', { format: 'webp', height: 2048, quality: 100 }],
    ['png', 'w=300&fit=cover', { format: 'png', width: 300 }],
    ['png', 'w=3&h=4', { format: 'png', width: 3, height: 4, fit: 'contain' }],
    ['png', 'fit=cover&h=4&w=3', { format: 'png', width: 3, height: 4, fit: 'cover' }],
    ['png', 'cb=1&fm=svg&W=5&width=5&__proto__=1', { format: 'png' }],
  ] as const)('parseVariant() reads %s with "%s"', (format, text, expected) => {
    expect(parseVariant(format, query(text))).toEqual(expected);
  });

  test.each([
    'w=0',
    'w=2049',
    'w=999999',
    'w=-1',
    'w=1.5',
    'w=1e2',
    'w=0x10',
    'w=010',
    'w=',
    'w=%2b1',
    'w=1&w=1',
    'h=2049',
    'h=abc',
    'q=0',
    'q=101',
    'q=8.5',
    'fit=',
    'fit=Cover',
    'fit=fill',
    'fit=cover&fit=cover',
    'w=٣',
  ])('parseVariant() refuses %s, naming it', (text) => {
    expect(refusal(() => parseVariant('jpeg', query(text)))).toMatch(
      new RegExp(`^invalid_query ${text.split('=', 1)[0]}: `),
    );
  });
});

describe('variantQuery()', () => {
  test('variantQuery() gives one spelling to what is the same', () => {
    const spellings = ['w=30&h=20', 'h=20&w=30&x=1', 'fit=contain&h=20&q=80&w=30'];
    for (const text of spellings) {
      expect(variantQuery(parseVariant('webp', query(text)))).toBe(
        'fit=contain&format=webp&h=20&q=80&w=30',
      );
    }
    expect(variantQuery(parseVariant('png', query('q=7&fit=cover')))).toBe('format=png');
  });

  test('variantQuery() is read back by parseVariantQuery()', () => {
    for (const text of ['w=30&h=20', 'w=9', '', 'h=2048&q=3']) {
      const variant = parseVariant('jpeg', query(text));
      expect(parseVariantQuery(query(variantQuery(variant)))).toEqual(variant);
    }
    expect(refusal(() => parseVariantQuery(query('w=1&format=svg')))).toMatch(
      /^invalid_query format: /,
    );
  });
});

test('asksForVariant() looks at the names that count', () => {
  expect(asksForVariant(query('cb=1&fm=webp'))).toBe(false);
  for (const name of ['w', 'h', 'fit', 'q']) expect(asksForVariant(query(`${name}=1`))).toBe(true);
});

test('variantTag() is eight digits that differ with the variant', async () => {
  const tags = await Promise.all(
    ['w=1', 'w=2', 'h=1', 'w=1&q=79'].map((text) => variantTag(parseVariant('webp', query(text)))),
  );
  expect(new Set(tags).size).toBe(4);
  for (const tag of tags) expect(tag).toMatch(/^[0-9a-f]{8}$/);
});
