import { expect, test } from 'vitest';
import { decodeHex, encodeHex, equalBytes, sha256Hex } from '#shared/hex.ts';

test('encodeHex() and decodeHex() are inverse', () => {
  const bytes = Uint8Array.of(0, 1, 15, 16, 127, 128, 255);
  expect(encodeHex(bytes)).toBe('00010f107f80ff');
  expect(decodeHex('00010f107f80ff')).toEqual(bytes);
});

test.each(['0', 'AB', '0g', ' 00', '00\n'])('decodeHex(%j) throws', (text) => {
  expect(() => decodeHex(text)).toThrow(RangeError);
});

test('sha256Hex() agrees with the vector of FIPS 180-4 for "abc"', async () => {
  expect(await sha256Hex('abc')).toBe(
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  );
});

test('equalBytes() compares contents and length', () => {
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0))).toBe(false);
  expect(equalBytes(new Uint8Array(), new Uint8Array())).toBe(true);
});
