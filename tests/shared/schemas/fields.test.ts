import { expect, test } from 'vitest';
import { guidanceField, showValue, sideField } from '#shared/schemas/fields.ts';

test.each([
  ['a', '"a"'],
  ['x'.repeat(41), `"${'x'.repeat(40)}…"`],
  [1.5, '1.5'],
  [null, 'null'],
  [undefined, 'undefined'],
  [[1], 'an array'],
  [{ a: 1 }, 'an object'],
  ['\n"', '"\\n\\""'],
])('showValue(%j) is %s', (value, shown) => {
  expect(showValue(value)).toBe(shown);
});

test('guidanceField takes two decimals, also those that binary fractions only approach', () => {
  for (const value of [0, 0.01, 0.07, 1.1, 4.35, 8.2, 19.99, 20]) {
    expect(guidanceField.safeParse(value).success, String(value)).toBe(true);
  }
  for (const value of [-0.01, 0.001, 7.005, 20.01, Number.NaN, '1']) {
    expect(guidanceField.safeParse(value).success, String(value)).toBe(false);
  }
});

test('sideField takes multiples of 16 from 64 to 2048', () => {
  for (const side of [64, 80, 2048]) expect(sideField.safeParse(side).success).toBe(true);
  for (const side of [48, 63, 65, 2049, 2064, 128.5]) {
    expect(sideField.safeParse(side).success).toBe(false);
  }
});
