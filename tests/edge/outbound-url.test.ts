import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { checkOutboundUrl } from '../../edge/outbound-url.ts';

const options = { param: 'webhook', targets: 'public', ownOrigin: 'https://own.example' } as const;

function codeOf(url: string, targets: 'public' | 'any' = 'public'): string | undefined {
  try {
    checkOutboundUrl(url, { ...options, targets });
    return undefined;
  } catch (error) {
    return (error as ServiceError).code;
  }
}

describe('checkOutboundUrl()', () => {
  test.each(['https://ok.example/hook?a=1', 'https://a.b.ok.example', 'https://ok.example.'])(
    'checkOutboundUrl() lets %s be called',
    (url) => {
      expect(codeOf(url)).toBeUndefined();
    },
  );

  test.each([
    'http://ok.example',
    'https://ok.example:8443',
    'https://me:secret@ok.example',
    'https://ok.example#part',
    'https://127.0.0.1',
    'https://127.1',
    'https://2130706433',
    'https://0x7f.1',
    'https://0177.0.0.1',
    'https://0',
    'https://0.0.0.0',
    'https://localhost',
    'https://LOCALHOST.',
    'https://foo.localhost',
    'https://[::1]',
    'https://[::]',
    'https://[::ffff:127.0.0.1]',
    'https://[64:ff9b::7f00:1]',
    'https://[fe80::1]',
    'https://10.0.0.1',
    'https://169.254.169.254/latest',
    'https:\\\\127.0.0.1\\',
    'https:127.0.0.1',
    'https://ok.example@127.0.0.1',
    'https://①②⑦.0.0.1',
    'https://127。0。0。1',
    'https://printer.local',
    'https://intranet',
    'https://own.example/v1/predictions',
    'file:///etc/passwd',
    'data:text/plain,x',
    'ftp://ok.example',
    'javascript:alert(1)',
    '',
    '/relative',
    'https://ok.example/a b',
    'https://ok.example/\n',
  ])('checkOutboundUrl() refuses %j', (url) => {
    expect(codeOf(url)).toBe('url_forbidden');
  });

  test('checkOutboundUrl() calls private places where the operator says any', () => {
    expect(codeOf('http://127.0.0.1:9000/hook', 'any')).toBeUndefined();
    expect(codeOf('ftp://127.0.0.1', 'any')).toBe('url_forbidden');
    expect(codeOf('http://me@127.0.0.1', 'any')).toBe('url_forbidden');
  });
});
