import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { decodeUtf8, parseJson, parseJsonObject } from '#shared/json.ts';

function code(run: () => unknown): string {
  try {
    run();
    return 'accepted';
  } catch (error) {
    return (error as ServiceError).code;
  }
}

describe('parseJson()', () => {
  test.each([
    '{}',
    '[]',
    ' { "a" : [ 1 , -0.5e+2, 1E3 ] , "b" : null } \r\n\t',
    '"\\u00e9\\n\\\\\\"\\/"',
    'true',
    '0',
    '{"":""}',
    '"\ud83c\udf35"',
  ])('parseJson(%j) agrees with JSON.parse', (text) => {
    expect(JSON.stringify(parseJson(text))).toBe(JSON.stringify(JSON.parse(text)));
  });

  test.each([
    '',
    ' ',
    '{bad',
    '{"a":1,}',
    "{'a':1}",
    '{"a":1}//c',
    '/*c*/{}',
    'NaN',
    'Infinity',
    '0x10',
    '01',
    '+1',
    '.5',
    '1.',
    '[1,]',
    '[1 2]',
    '{"a" 1}',
    '{"a":}',
    '{1:1}',
    '"a',
    '"\n"',
    '"\\x41"',
    '"\\',
    '{}{}',
    'nul',
    'truefalse',
    '\ufeff{}',
    '\u00a0{}',
  ])('parseJson(%j) is malformed', (text) => {
    expect(code(() => parseJson(text))).toBe('malformed_json');
  });

  test('parseJson() refuses a member that appears twice, however it is spelled', () => {
    expect(code(() => parseJson('{"a":1,"a":1}'))).toBe('duplicate_member');
    expect(code(() => parseJson('{"a":1,"\\u0061":1}'))).toBe('duplicate_member');
    expect(code(() => parseJson('[{"a":1},{"a":1}]'))).toBe('accepted');
    expect(code(() => parseJson('{"a":1,"A":1}'))).toBe('accepted');
  });

  test('parseJson() takes 6 levels, 64 members and 16 items, and not one more', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    const wide = (count: number) =>
      `{${Array.from({ length: count }, (_, i) => `"m${i}":0`).join(',')}}`;
    const long = (count: number) => `[${Array.from({ length: count }, () => 0).join(',')}]`;
    expect(code(() => parseJson(nested(6)))).toBe('accepted');
    expect(code(() => parseJson(nested(7)))).toBe('json_too_complex');
    expect(code(() => parseJson('['.repeat(60_000)))).toBe('json_too_complex');
    expect(code(() => parseJson(wide(64)))).toBe('accepted');
    expect(code(() => parseJson(wide(65)))).toBe('json_too_complex');
    expect(code(() => parseJson(long(16)))).toBe('accepted');
    expect(code(() => parseJson(long(17)))).toBe('json_too_complex');
  });

  test('parseJson() makes __proto__ and constructor members like any other', () => {
    const value = parseJson('{"__proto__":{"x":1},"constructor":2}') as Record<string, unknown>;
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  test('parseJson() reads 1e400 as infinite and leaves the judgement to the schema', () => {
    expect(parseJson('1e400')).toBe(Number.POSITIVE_INFINITY);
  });

  test('parseJson() reads a text of 10 MB, escapes included', () => {
    const text = `"${'x'.repeat(10_000_000)}\\""`;
    expect((parseJson(text) as string).length).toBe(10_000_001);
  });
});

test.each(['null', '[]', '"x"', '1', 'true'])('parseJsonObject(%j) is refused', (text) => {
  expect(code(() => parseJsonObject(text))).toBe('malformed_json');
});

describe('decodeUtf8()', () => {
  test.each([
    ['a lone continuation byte', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['half a surrogate pair', [0xed, 0xa0, 0x80]],
    ['a cut sequence', [0xe2, 0x82]],
    ['UTF-16', [0xff, 0xfe, 0x7b, 0x00]],
  ])('decodeUtf8() refuses %s', (_, bytes) => {
    expect(code(() => decodeUtf8(Uint8Array.from(bytes)))).toBe('invalid_utf8');
  });

  test('decodeUtf8() keeps a byte-order mark for the parser to refuse', () => {
    expect(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d))).toBe('\ufeff{}');
  });
});
