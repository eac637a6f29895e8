import { describe, expect, test } from 'vitest';
import { callerOrigin, isListed, mayCall } from '../../edge/request-origin.ts';

const URL_HERE = 'https://edge.example/v1/models';
const listed = { corsOrigins: ['https://ok.example'], publicOrigin: undefined };
const star = { corsOrigins: ['*', 'https://ok.example'], publicOrigin: undefined };

describe('mayCall()', () => {
  test.each([
    ['https://ok.example', true, true],
    ['https://edge.example', true, true],
    ['https://other.example', false, true],
    ['null', false, false],
    ['https://other.example/', false, false],
    ['other.example', false, false],
  ])('mayCall() with %s: listed %s, with a star %s', (origin, byList, byStar) => {
    expect([mayCall(origin, URL_HERE, listed), mayCall(origin, URL_HERE, star)]).toEqual([
      byList,
      byStar,
    ]);
  });

  test('isListed() does not take the star for an origin', () => {
    expect(isListed('https://other.example', URL_HERE, star)).toBe(false);
    expect(isListed('*', URL_HERE, listed)).toBe(false);
  });
});

test('callerOrigin() is what the browser says, also where it says it in another way', () => {
  const ask = (headers: Record<string, string>) =>
    callerOrigin(new Request(URL_HERE, { headers }), listed);
  expect(ask({ Origin: 'https://a.example' })).toBe('https://a.example');
  expect(ask({ 'Sec-Fetch-Site': 'same-origin' })).toBe('https://edge.example');
  expect(ask({ 'Sec-Fetch-Site': 'cross-site' })).toBeUndefined();
  expect(ask({})).toBeUndefined();
});
