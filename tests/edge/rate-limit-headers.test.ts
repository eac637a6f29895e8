import { describe, expect, test } from 'vitest';
import { goDuration, setRateLimitHeaders } from '../../edge/rate-limit-headers.ts';

describe('setRateLimitHeaders()', () => {
  test('setRateLimitHeaders() writes both budgets as structured fields, and OpenAI’s three', () => {
    const headers = new Headers();
    setRateLimitHeaders(headers, {
      generation: { limits: { rate: 60, burst: 10 }, remaining: 9, nextMs: 400, fullMs: 400 },
      read: { limits: { rate: 1200, burst: 1200 }, remaining: 1199, nextMs: 0 },
    });
    expect(Object.fromEntries(headers)).toEqual({
      ratelimit: '"generation";r=9;t=1, "read";r=1199',
      'ratelimit-policy': '"generation";q=10;w=10, "read";q=1200;w=60',
      'x-ratelimit-limit-requests': '10',
      'x-ratelimit-remaining-requests': '9',
      'x-ratelimit-reset-requests': '400ms',
    });
  });

  test('setRateLimitHeaders() writes nothing where nothing is known', () => {
    const headers = new Headers();
    setRateLimitHeaders(headers, { generation: undefined, read: undefined });
    expect([...headers]).toEqual([]);
  });
});

test.each([
  [0, '0ms'],
  [19.2, '20ms'],
  [999, '999ms'],
  [1000, '1s'],
  [59_001, '1m0s'],
  [360_000, '6m0s'],
  [61_500, '1m2s'],
])('goDuration(%d) is %s', (ms, text) => {
  expect(goDuration(ms)).toBe(text);
});
