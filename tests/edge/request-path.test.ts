import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { checkPath, rawPath } from '../../edge/request-path.ts';

describe('rawPath()', () => {
  test.each([
    ['http://h/a/b?c=/d#e', '/a/b'],
    ['http://h', '/'],
    ['http://h?x', '/'],
    ['http://h/a%2Fb/../c', '/a%2Fb/../c'],
    ['https://h:8443/', '/'],
  ])('rawPath(%j) is %j', (url, path) => {
    expect(rawPath(url)).toBe(path);
  });
});

describe('checkPath()', () => {
  const code = (path: string) => {
    try {
      checkPath(`http://h${path}`);
      return 'accepted';
    } catch (error) {
      return (error as ServiceError).code;
    }
  };

  test.each([
    '/',
    '/i/abc.png',
    '/v1/models/owner%2Fname',
    '/prompt/a%2Fb%20c',
    '/a.b/..c/d..',
    '/...',
    `/${'a'.repeat(4095)}`,
    '/a?x=%00//../',
  ])('checkPath() takes %s', (path) => {
    expect(code(path)).toBe('accepted');
  });

  test.each([
    '/i/../v1',
    '/i/./v1',
    '/..',
    '/i/%2e%2e/v1',
    '/i/%2E./v1',
    '/i/.%2e',
    '//v1',
    '/v1//models',
    '/v1/models//x',
    '/a\\b',
    '/a%5cb',
    '/a%5Cb',
    '/a%00',
    '/a%2fb',
    '/v1%2Fmodels',
    '/v1/models/a%2Fb/c',
    '/v1/models/..%2Fx',
    '/v1/models/x%2F..',
    '/prompt/%2e%2e%2fv1',
    '/%',
    '/%2',
    '/%zz',
    '/é',
    '/a b',
    '/a\tb',
  ])('checkPath() refuses %s', (path) => {
    expect(code(path)).toBe('invalid_path');
  });

  test('checkPath() bounds path and query together', () => {
    expect(code(`/${'a'.repeat(4096)}`)).toBe('uri_too_long');
    expect(code(`/?${'a'.repeat(4094)}`)).toBe('accepted');
    expect(code(`/?${'a'.repeat(4095)}`)).toBe('uri_too_long');
  });
});
