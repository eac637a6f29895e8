import { expect, test } from 'vitest';
import { HEADERS, REQUEST_ID_PATTERN } from '#shared/headers.ts';

test('HEADERS names each header once, whatever the case', () => {
  const names = Object.values(HEADERS).map((name) => name.toLowerCase());
  expect(new Set(names).size).toBe(names.length);
});

test('REQUEST_ID_PATTERN takes 8 to 128 characters of a safe set', () => {
  expect(REQUEST_ID_PATTERN.test('a'.repeat(7))).toBe(false);
  expect(REQUEST_ID_PATTERN.test('aZ09._-8')).toBe(true);
  expect(REQUEST_ID_PATTERN.test('a'.repeat(128))).toBe(true);
  expect(REQUEST_ID_PATTERN.test('a'.repeat(129))).toBe(false);
  expect(REQUEST_ID_PATTERN.test('abcdefg\n')).toBe(false);
});
