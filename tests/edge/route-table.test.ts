import { describe, expect, test } from 'vitest';
import { findRoute, ROUTES, surfaceOf } from '../../edge/route-table.ts';

describe('ROUTES', () => {
  test.each([
    ['/v1/images/generations', 'openai', 'generate'],
    ['/v1/models', 'openai', 'read'],
    ['/v1/models/owner%2Fname', 'openai', 'read'],
    ['/v1/keys', 'problem', 'keys'],
    ['/v1/keys/abc', 'problem', 'keys'],
    ['/v1/keys/abc/rotate', 'problem', 'keys'],
    ['/v1/tokens', 'problem', 'generate'],
    ['/v1/usage', 'problem', 'read'],
    ['/metrics', 'problem', 'admin'],
    ['/v1/models/owner/name', 'replicate', 'read'],
    ['/v1/models/owner/name/versions/x', 'replicate', 'read'],
    ['/v1/predictions', 'replicate', 'read'],
    ['/v1/predictions/x/cancel', 'replicate', 'read'],
    ['/v1/files/x', 'replicate', 'read'],
    [`/v1/files/${'ab'.repeat(16)}-x`, 'replicate', null],
    ['/v1/files/x/download', 'replicate', null],
    ['/v1/deployments/a/b/predictions', 'replicate', 'read'],
    ['/fal/proxy', 'fal', 'read'],
    ['/i/x.png', 'problem', null],
    ['/healthz', 'problem', null],
    ['/readyz', 'problem', null],
    ['/openapi.json', 'problem', null],
  ])('ROUTES has %s on the %s surface with scope %s', (path, surface, scope) => {
    expect(findRoute(path)).toMatchObject({ surface, scope });
  });

  test('ROUTES ask for a key everywhere under /v1, and nowhere do two of them match one path', () => {
    const paths = ['/v1/images/generations', '/v1/models', '/v1/models/x', '/i/x.png', '/healthz'];
    for (const path of paths) {
      expect(ROUTES.filter((route) => route.path.test(path))).toHaveLength(1);
      expect(findRoute(path)?.scope !== null).toBe(path.startsWith('/v1/'));
    }
  });

  test.each([
    '/v1',
    '/v1/',
    '/v1/models/',
    '/v1/models/a/b/c',
    '/v1/predictions/',
    '/v1/predictions/a/b',
    '/v1/files/a/b',
    '/fal',
    '/i/',
    '/i/a/b',
    '/healthz/',
    '/V1/models',
  ])('ROUTES have nothing at %s', (path) => {
    expect(findRoute(path)).toBeUndefined();
  });
});

test('surfaceOf() shapes errors under /v1 for OpenAI clients', () => {
  expect(['/v1', '/v1/x', '/v1x', '/'].map(surfaceOf)).toEqual([
    'openai',
    'openai',
    'problem',
    'problem',
  ]);
});

test.each([
  '/v1/predictions/a/b',
  '/v1/files/',
  '/v1/account/x',
  '/v1/models/a/b/c',
  '/v1/webhooks',
])('surfaceOf() shapes errors at %s for Replicate clients', (path) => {
  expect(surfaceOf(path)).toBe('replicate');
});

test('ROUTES ask more of whoever draws than of whoever reads', () => {
  const writing = ROUTES.filter(({ writeScope }) => writeScope !== undefined);
  expect(writing.map(({ writeScope }) => writeScope)).not.toContain('read');
  expect(findRoute('/v1/predictions')?.writeScope).toBe('generate');
  expect(findRoute('/v1/webhooks/default/secret')?.writeScope).toBe('admin');
});
