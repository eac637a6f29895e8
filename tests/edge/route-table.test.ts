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
    '/v1/models/a/b',
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
