import { expect, test } from 'vitest';
import { findPromptFault, normalizePrompt } from '#shared/prompt.ts';

const code = (text: string, options?: { allowEmpty?: boolean }) =>
  findPromptFault(text, options)?.code;

test.each([
  ['nothing', ''],
  ['spaces', '   \t\n'],
  ['a zero-width space', '\u200b'],
  ['combining marks alone', '\u0301\u0301'],
  ['a no-break space and a mark', '\u00a0\ufeff'],
  ['a word joiner', '\u2060'],
])('findPromptFault() finds %s empty', (_, text) => {
  expect(code(text)).toBe('prompt_empty');
});

test('findPromptFault() lets negative prompts be empty', () => {
  expect(code('', { allowEmpty: true })).toBeUndefined();
  expect(code('a'.repeat(2001), { allowEmpty: true })).toBe('prompt_too_long');
});

test('findPromptFault() counts code points, not UTF-16 units', () => {
  expect(code('🌵'.repeat(2000))).toBeUndefined();
  expect(code('🌵'.repeat(2001))).toBe('prompt_too_long');
  expect(code('a'.repeat(2000))).toBeUndefined();
  expect(code('a'.repeat(2001))).toBe('prompt_too_long');
});

test('findPromptFault() bounds the bytes before it looks at anything else', () => {
  expect(findPromptFault('a'.repeat(8193))?.message).toContain('8192 bytes');
  expect(code('\ud800'.repeat(9000))).toBe('prompt_too_long');
});

test('findPromptFault() takes 32 combining marks in a row, not 33', () => {
  expect(code(`e${'\u0301'.repeat(32)}`)).toBeUndefined();
  expect(code(`e${'\u0301'.repeat(33)}`)).toBe('invalid_parameter');
  expect(code(`${`e${'\u0301'.repeat(20)}`.repeat(5)}`)).toBeUndefined();
});

test.each(['a\ud800', '\udc00a', '\ud800\ud800'])('findPromptFault(%j) refuses it', (text) => {
  expect(code(text)).toBe('invalid_utf8');
});

test('findPromptFault() takes U+FFFD, bidi overrides, emoji and any script', () => {
  for (const text of ['\ufffd', 'a\u202eb', '👩‍👩‍👧‍👦', 'सुखी कैक्टस', 'x²', '\0a']) {
    expect(code(text), text).toBeUndefined();
  }
});

test('findPromptFault() is quick on runs of marks and on the longest texts', () => {
  const started = performance.now();
  for (let i = 0; i < 20; i += 1) code(`e${'\u0301'.repeat(2000)}`);
  // 20 prompts; a quadratic NFC of 2,000 marks alone would take about 2 ms each. Generous for a busy machine.
  expect(performance.now() - started).toBeLessThan(500);
});

test('normalizePrompt() composes and trims the ends only', () => {
  expect(normalizePrompt('  cafe\u0301  noir \n')).toBe('caf\u00e9  noir');
  expect(normalizePrompt('\ufeff\u00a0a')).toBe('a');
  expect(normalizePrompt('a\u0085')).toBe('a\u0085');
});

test('normalizePrompt() keeps what NFKC would fold, case, and line ends', () => {
  expect(normalizePrompt('x²')).toBe('x²');
  expect(normalizePrompt('ｆｕｌｌ')).toBe('ｆｕｌｌ');
  expect(normalizePrompt('İıßς')).toBe('İıßς');
  expect(normalizePrompt('a\r\nb')).toBe('a\r\nb');
});
