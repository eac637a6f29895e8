/**
 * Every route, its methods, and what a request has to bring: checked before anything else is done.
 *
 * Paths are matched as they arrive, undecoded: one URL has one spelling.
 */
import {
  FILE_BODY_BYTES_MAX,
  JSON_BODY_BYTES_MAX,
  PREDICTION_BODY_BYTES_MAX,
} from '#shared/limits.ts';
import type { Scope } from '#shared/schemas/api-key.ts';
import type { Surface } from './render-error.ts';

export interface Route {
  readonly path: RegExp;
  readonly methods: readonly string[];
  readonly surface: Surface;
  /** Scope that a key needs; null: open to everyone. */
  readonly scope: Scope | null;
  /** Scope that methods other than GET and HEAD need, where it is another. */
  readonly writeScope?: Scope;
  /** Bytes of a body; 0: none is read. */
  readonly bodyBytesMax: number;
  /** Whether pages of any origin may read the answers. */
  readonly anyOrigin: boolean;
}

const open = { scope: null, bodyBytesMax: 0, anyOrigin: true } as const;

const replicate = {
  surface: 'replicate',
  scope: 'read',
  writeScope: 'generate',
  bodyBytesMax: 0,
  anyOrigin: false,
} as const;
const read = ['GET', 'HEAD'];

/** Replicate's API. */
const REPLICATE_ROUTES: readonly Route[] = [
  {
    ...replicate,
    path: /^\/v1\/predictions$/,
    methods: [...read, 'POST'],
    bodyBytesMax: PREDICTION_BODY_BYTES_MAX,
  },
  { ...replicate, path: /^\/v1\/predictions\/[^/]+$/, methods: read },
  { ...replicate, path: /^\/v1\/predictions\/[^/]+\/cancel$/, methods: ['POST'] },
  { ...replicate, path: /^\/v1\/models\/[^/]+\/[^/]+$/, methods: read },
  { ...replicate, path: /^\/v1\/models\/[^/]+\/[^/]+\/versions(?:\/[^/]+)?$/, methods: read },
  {
    ...replicate,
    path: /^\/v1\/(?:models|deployments)\/[^/]+\/[^/]+\/predictions$/,
    methods: ['POST'],
    bodyBytesMax: PREDICTION_BODY_BYTES_MAX,
  },
  {
    ...replicate,
    path: /^\/v1\/deployments$/,
    methods: [...read, 'POST'],
    bodyBytesMax: JSON_BODY_BYTES_MAX,
  },
  {
    ...replicate,
    path: /^\/v1\/deployments\/[^/]+\/[^/]+$/,
    methods: [...read, 'PATCH', 'DELETE'],
    bodyBytesMax: JSON_BODY_BYTES_MAX,
  },
  {
    ...replicate,
    path: /^\/v1\/files$/,
    methods: [...read, 'POST'],
    bodyBytesMax: FILE_BODY_BYTES_MAX,
  },
  { ...replicate, path: /^\/v1\/files\/[^/-]+$/, methods: [...read, 'DELETE'] },
  // Streams and downloads are opened by what their URLs hold.
  { ...open, path: /^\/v1\/files\/[0-9a-f]{32}-[^/]+$/, methods: read, surface: 'replicate' },
  { ...open, path: /^\/v1\/files\/[^/]+\/download$/, methods: read, surface: 'replicate' },
  { ...replicate, path: /^\/v1\/(?:account|hardware|search|collections)$/, methods: read },
  { ...replicate, path: /^\/v1\/collections\/[^/]+$/, methods: read },
  {
    ...replicate,
    path: /^\/v1\/webhooks\/default\/secret$/,
    methods: [...read, 'POST'],
    writeScope: 'admin',
  },
];

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
    path: /^\/v1\/images\/[0-9a-f]{64}$/,
    methods: ['DELETE'],
    surface: 'openai',
    scope: 'generate',
    bodyBytesMax: 0,
    anyOrigin: false,
  },
  {
    path: /^\/v1\/models(?:\/[^/]+)?$/,
    methods: ['GET', 'HEAD', 'QUERY'],
    surface: 'openai',
    scope: 'read',
    // Words to search for.
    bodyBytesMax: 4096,
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
  ...REPLICATE_ROUTES,
  {
    ...replicate,
    surface: 'fal',
    path: /^\/fal\/proxy$/,
    methods: [...read, 'POST', 'PUT'],
    bodyBytesMax: PREDICTION_BODY_BYTES_MAX,
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
  {
    path: /^\/prompt\/[^/]+$/,
    methods: ['GET', 'HEAD'],
    surface: 'problem',
    scope: 'generate',
    bodyBytesMax: 0,
    anyOrigin: true,
  },
  { path: /^\/healthz$/, methods: ['GET', 'HEAD'], surface: 'problem', ...open },
  { path: /^\/readyz$/, methods: ['GET', 'HEAD'], surface: 'problem', ...open },
  { path: /^\/openapi\.json$/, methods: ['GET', 'HEAD'], surface: 'problem', ...open },
];

export function findRoute(path: string): Route | undefined {
  return ROUTES.find((route) => route.path.test(path));
}

const REPLICATE_PATH =
  /^\/v1\/(?:(?:predictions|deployments|files|account|hardware|search|collections|webhooks)(?:\/|$)|models\/[^/]+\/)/;

/** Surface of a path that has no route: errors under /v1 are shaped for OpenAI clients, but where only Replicate's go. */
export function surfaceOf(path: string): Surface {
  if (REPLICATE_PATH.test(path)) return 'replicate';
  return path === '/v1' || path.startsWith('/v1/') ? 'openai' : 'problem';
}
