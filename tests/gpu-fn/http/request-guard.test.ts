import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { guardRequest } from '../../../gpu-fn/http/request-guard.ts';

function request(url: string, fields: [string, string][] = [['Host', 'x']]): IncomingMessage {
  const headers = Object.fromEntries(fields.map(([name, value]) => [name.toLowerCase(), value]));
  return { url, headers, rawHeaders: fields.flat() } as unknown as IncomingMessage;
}

const guard = (...args: Parameters<typeof request>) => guardRequest(request(...args));

describe('guardRequest()', () => {
  it.each(['/', '/predictions/a.b_c~d-1', '/predictions?x=../y', '/a%20b'])(
    'lets %s pass',
    (url) => {
      expect(guard(url)).toBeUndefined();
    },
  );

  it.each([
    '*',
    '',
    'http://x/y',
    '//x',
    '/a/./b',
    '/a/..',
    '/a%2Fb',
    '/a%5cb',
    '/a%2e',
    '/a%00',
    '/a%1f',
    '/a%7F',
    '/ä',
    '/a\\b',
    '/a#b',
  ])('refuses the path %j', (url) => {
    expect(() => guard(url)).toThrow(expect.objectContaining({ code: 'invalid_path' }));
  });

  it('takes 4,096 bytes of target, not one more', () => {
    expect(guard(`/${'a'.repeat(4095)}`)).toBeUndefined();
    expect(() => guard(`/${'a'.repeat(4096)}`)).toThrow(
      expect.objectContaining({ code: 'uri_too_long' }),
    );
  });

  it('takes 8,192 bytes of one header field, not one more', () => {
    const field = (bytes: number): [string, string] => ['X-Long', 'a'.repeat(bytes - 6)];
    expect(guard('/', [field(8192)])).toBeUndefined();
    expect(() => guard('/', [field(8193)])).toThrow(
      expect.objectContaining({ code: 'headers_too_large' }),
    );
  });

  it('refuses twice what may come once, whatever the case', () => {
    expect(() =>
      guard('/', [
        ['Host', 'x'],
        ['hOST', 'x'],
      ]),
    ).toThrow(expect.objectContaining({ code: 'invalid_header' }));
    expect(
      guard('/', [
        ['X-Any', '1'],
        ['x-any', '2'],
      ]),
    ).toBeUndefined();
  });
});
