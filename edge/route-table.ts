/**
 * Every route, its methods, and what a request has to bring: checked before anything else is done.
 *
 * Paths are matched as they arrive, undecoded: one URL has one spelling.
 */
import { JSON_BODY_BYTES_MAX, PREDICTION_BODY_BYTES_MAX } from '#shared/limits.ts';
import type { Scope } from '#shared/schemas/api-key.ts';
import type { Surface } from './render-error.ts';

export interface Route {
  readonly path: RegExp;
  readonly methods: readonly string[];
  readonly surface: Surface;
  /** Scope that a key needs; null: open to everyone. */
  readonly scope: Scope | null;
  /** Bytes of a body; 0: none is read. */
  readonly bodyBytesMax: number;
  /** Whether pages of any origin may read the answers. */
  readonly anyOrigin: boolean;
}

const open = { scope: null, bodyBytesMax: 0, anyOrigin: true } as const;

export const ROUTES: readonly Route[] = [
  {
    path: /^\/v1\/images\/generations$/,
    methods: ['POST'],
    surface: 'openai',
    scope: 'generate',
    bodyBytesMax: JSON_BODY_BYTES_MAX,
    anyOrigin: false,
  },
  {
    path: /^\/v1\/models(?:\/[^/]+)?$/,
    methods: ['GET', 'HEAD'],
    surface: 'openai',
    scope: 'read',
    bodyBytesMax: 0,
    anyOrigin: false,
  },
  {
    path: /^\/v1\/keys$/,
    methods: ['GET', 'HEAD', 'POST'],
    surface: 'problem',
    scope: 'keys',
    bodyBytesMax: JSON_BODY_BYTES_MAX,
    anyOrigin: false,
  },
  {
    path: /^\/v1\/keys\/[^/]+$/,
    methods: ['GET', 'HEAD', 'DELETE'],
    surface: 'problem',
    scope: 'keys',
    bodyBytesMax: 0,
    anyOrigin: false,
  },
  {
    path: /^\/v1\/keys\/[^/]+\/rotate$/,
    methods: ['POST'],
    surface: 'problem',
    scope: 'keys',
    bodyBytesMax: JSON_BODY_BYTES_MAX,
    anyOrigin: false,
  },
  {
    path: /^\/v1\/tokens$/,
    methods: ['POST'],
    surface: 'problem',
    scope: 'generate',
    bodyBytesMax: JSON_BODY_BYTES_MAX,
    anyOrigin: false,
  },
  {
    path: /^\/v1\/usage$/,
    methods: ['GET', 'HEAD'],
    surface: 'problem',
    scope: 'read',
    bodyBytesMax: 0,
    anyOrigin: false,
  },
  {
    path: /^\/metrics$/,
    methods: ['GET', 'HEAD'],
    surface: 'problem',
    scope: 'admin',
    bodyBytesMax: 0,
    anyOrigin: false,
  },
  { path: /^\/i\/[^/]+$/, methods: ['GET', 'HEAD'], surface: 'problem', ...open },
  {
    path: /^\/hooks\/replicate$/,
    methods: ['POST'],
    surface: 'problem',
    scope: null,
    bodyBytesMax: PREDICTION_BODY_BYTES_MAX,
    anyOrigin: false,
  },
  { path: /^\/healthz$/, methods: ['GET', 'HEAD'], surface: 'problem', ...open },
  { path: /^\/readyz$/, methods: ['GET', 'HEAD'], surface: 'problem', ...open },
  { path: /^\/openapi\.json$/, methods: ['GET', 'HEAD'], surface: 'problem', ...open },
];

export function findRoute(path: string): Route | undefined {
  return ROUTES.find((route) => route.path.test(path));
}

/** Surface of a path that has no route: errors under /v1 are shaped for OpenAI clients. */
export function surfaceOf(path: string): Surface {
  return path === '/v1' || path.startsWith('/v1/') ? 'openai' : 'problem';
}
