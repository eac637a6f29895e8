import { describe, expect, test } from 'vitest';
import { isNotModified, parseRange, preconditionFails } from '../../edge/conditional.ts';

const validators = { etag: '"abc"', lastModifiedMs: 1_700_000_000_500 };

describe('isNotModified()', () => {
  test.each([
    [{}, false],
    [{ 'If-None-Match': '"abc"' }, true],
    [{ 'If-None-Match': 'W/"abc", "x"' }, true],
    [{ 'If-None-Match': '*' }, true],
    [{ 'If-None-Match': 'abc' }, false],
    [{ 'If-None-Match': '' }, false],
    [{ 'If-Modified-Since': new Date(1_700_000_000_000).toUTCString() }, true],
    [{ 'If-Modified-Since': new Date(1_699_999_999_000).toUTCString() }, false],
    [{ 'If-Modified-Since': 'garbage' }, false],
  ])('isNotModified(%j) is %s', (headers, expected) => {
    expect(isNotModified(new Headers(headers as Record<string, string>), validators)).toBe(
      expected,
    );
  });
});

describe('parseRange()', () => {
  test.each([
    ['bytes=0-0', { first: 0, last: 0 }],
    ['bytes=99-', { first: 99, last: 99 }],
    ['bytes=-1', { first: 99, last: 99 }],
    ['bytes=-200', { first: 0, last: 99 }],
    ['bytes=50-200', { first: 50, last: 99 }],
    ['bytes=100-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=3-2', undefined],
    ['bytes=0-1,2-3', undefined],
    ['bytes= 0-1', undefined],
    ['bytes=99999999999999999-', undefined],
    ['', undefined],
  ])('parseRange(%j) of 100 bytes is %j', (range, expected) => {
    expect(parseRange(new Headers({ Range: range }), { size: 100, ...validators })).toEqual(
      expected,
    );
  });

  test('parseRange() of an empty file is unsatisfiable', () => {
    const headers = new Headers({ Range: 'bytes=0-' });
    expect(parseRange(headers, { size: 0, ...validators })).toBe('unsatisfiable');
  });

  test('parseRange() holds to If-Range by strong tag or exact date', () => {
    const range = (ifRange: string) =>
      parseRange(new Headers({ Range: 'bytes=0-1', 'If-Range': ifRange }), {
        size: 9,
        ...validators,
      });
    expect(range('"abc"')).toBeDefined();
    expect(range('W/"abc"')).toBeUndefined();
    expect(range(new Date(1_700_000_000_000).toUTCString())).toBeDefined();
    expect(range(new Date(1_700_000_001_000).toUTCString())).toBeUndefined();
  });
});

test('preconditionFails() compares strongly, and accepts any file for a star', () => {
  const fails = (match?: string) =>
    preconditionFails(new Headers(match === undefined ? {} : { 'If-Match': match }), '"a"');
  expect([fails(), fails('"a"'), fails('*'), fails('"b", "a"')]).toEqual(Array(4).fill(false));
  expect([fails('"b"'), fails('W/"a"'), fails('a')]).toEqual(Array(3).fill(true));
});
