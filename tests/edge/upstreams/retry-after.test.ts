import { describe, expect, test } from 'vitest';
import { parseRetryAfter } from '../../../edge/upstreams/retry-after.ts';

const NOW_MS = Date.UTC(2026, 9, 21, 7, 28, 0);

describe('parseRetryAfter()', () => {
  test.each([
    [null, undefined],
    ['0', 0],
    ['2', 2000],
    ['60', 60_000],
    ['99999', 60_000],
    ['-1', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['', undefined],
    ['Wed, 21 Oct 2026 07:28:07 GMT', 7000],
    ['Wed, 21 Oct 2026 07:28:00 GMT', undefined],
    ['Wed, 21 Oct 2099 07:28:00 GMT', 60_000],
    ['Wed, 99 Oct 2026 07:28:00 GMT', undefined],
    ['2026-10-21', undefined],
  ])('parseRetryAfter() of %j is %j ms', (value, ms) => {
    expect(parseRetryAfter(value, NOW_MS)).toBe(ms);
  });
});
