import { describe, expect, test } from 'vitest';
import { parseCancelAfter, parsePrefer } from '../../edge/prefer.ts';

describe('parsePrefer()', () => {
  test.each([
    [undefined, 0, false],
    ['wait', 60_000, false],
    ['wait=5', 5000, false],
    ['Wait=0.5', 1000, false],
    ['wait=0', 1000, false],
    ['wait=120', 60_000, false],
    ['respond-async', 0, true],
    ['respond-async, wait=10', 10_000, true],
    ['return=minimal', 0, false],
  ])('parsePrefer() reads %s as %i ms', (header, waitMs, respondAsync) => {
    expect(parsePrefer(header)).toEqual({ waitMs, respondAsync });
  });
});

describe('parseCancelAfter()', () => {
  test.each([
    ['5', 5000],
    ['90s', 90_000],
    ['1m30s', 90_000],
    ['2h', 300_000],
    ['86400', 300_000],
  ])('parseCancelAfter() reads %s as %i ms', (header, ms) => {
    expect(parseCancelAfter(header)).toBe(ms);
  });

  test.each(['', '4', '4s', '-5', '1d', '5m ago', 'soon', '1s1m'])(
    'parseCancelAfter() refuses %j',
    (header) => {
      expect(() => parseCancelAfter(header)).toThrow('Cancel-After');
    },
  );

  test('parseCancelAfter() has nothing to say where nothing was said', () => {
    expect(parseCancelAfter(undefined)).toBeNull();
  });
});
