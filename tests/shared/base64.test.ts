import { expect, test } from 'vitest';
import { decodeBase64, encodeBase64, parseDataUri } from '#shared/base64.ts';

test.each([
  [[], ''],
  [[102], 'Zg=='],
  [[102, 111], 'Zm8='],
  [[102, 111, 111], 'Zm9v'],
  [[251, 255, 254], '+//+'],
])('encodeBase64(%j) is %j, and back', (bytes, text) => {
  expect(encodeBase64(Uint8Array.from(bytes))).toBe(text);
  expect(decodeBase64(text)).toEqual(Uint8Array.from(bytes));
});

test('encodeBase64() takes more bytes than a call takes arguments', () => {
  const bytes = new Uint8Array(1_000_000).map((_, i) => i % 251);
  expect(encodeBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
  expect(decodeBase64(encodeBase64(bytes))).toEqual(bytes);
});

test.each(['Zg', 'Zg=', 'Z===', '-__-', 'Zm9v\n', ' Zg==', 'Zg==Zg=='])(
  'decodeBase64(%j) throws',
  (text) => {
    expect(() => decodeBase64(text)).toThrow(RangeError);
  },
);

test('parseDataUri() splits media type and base64', () => {
  expect(parseDataUri('data:image/webp;base64,Zm9v')).toEqual({
    mediaType: 'image/webp',
    base64: 'Zm9v',
  });
});

test.each([
  '',
  'data:,x',
  'data:image/png,x',
  'https://x/data:image/png;base64,Zg==',
  'data:image/png;base64',
])('parseDataUri(%j) is undefined', (uri) => {
  expect(parseDataUri(uri)).toBeUndefined();
});
