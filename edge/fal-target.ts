/**
 * `x-fal-target-url`: the address at fal that a client of the proxy means. It is taken apart and never called.
 *
 *     https://fal.run/{app}                                     run
 *     https://fal.run/{app}/stream                              stream
 *     https://queue.fal.run/{app}[?fal_webhook=URL]             submit
 *     https://queue.fal.run/{app}/requests/{id}[/…]             result, status, status/stream, cancel
 */
import { ServiceError } from '#shared/errors.ts';
import { IDENTIFIER_PATTERN } from './identifier.ts';

export type FalTarget =
  | { readonly kind: 'run' | 'stream'; readonly app: string }
  | { readonly kind: 'submit'; readonly app: string; readonly webhook: string | null }
  | {
      readonly kind: 'result' | 'status' | 'status-stream' | 'cancel';
      readonly app: string;
      readonly id: string;
      readonly logs: boolean;
    };

export const FAL_TARGET_HEADER = 'x-fal-target-url';

const METHODS = {
  run: 'POST',
  stream: 'POST',
  submit: 'POST',
  result: 'GET',
  status: 'GET',
  'status-stream': 'GET',
  cancel: 'PUT',
} as const satisfies Record<FalTarget['kind'], string>;

const APP = String.raw`((?:[A-Za-z0-9._-]{1,64}\/){1,2}[A-Za-z0-9._-]{1,64})`;
const STREAM_PATTERN = new RegExp(`^/${APP}/stream$`);
const APP_PATTERN = new RegExp(`^/${APP}$`);
const REQUEST_PATTERN = new RegExp(`^/${APP}/requests/([^/]+)(/status|/status/stream|/cancel)?$`);
const KINDS = {
  '': 'result',
  '/status': 'status',
  '/status/stream': 'status-stream',
  '/cancel': 'cancel',
} as const;

/** @throws {ServiceError} `invalid_header`, `not_found`, `method_not_allowed` */
export function parseFalTarget(header: string | undefined, method: string): FalTarget {
  if (header === undefined || !URL.canParse(header)) {
    throw new ServiceError('invalid_header', {
      param: FAL_TARGET_HEADER,
      detail: `${FAL_TARGET_HEADER} must be the URL that the client means.`,
    });
  }
  const target = parseTarget(new URL(header));
  if (target === undefined) {
    throw new ServiceError('not_found', { detail: 'This address of fal is not served here.' });
  }
  if (METHODS[target.kind] !== method) {
    throw new ServiceError('method_not_allowed', {
      detail: `Only ${METHODS[target.kind]} is possible here.`,
    });
  }
  return target;
}

function parseTarget({ protocol, host, pathname, searchParams }: URL): FalTarget | undefined {
  if (protocol !== 'https:') return undefined;
  if (host === 'fal.run') {
    const stream = STREAM_PATTERN.exec(pathname)?.[1];
    if (stream !== undefined) return { kind: 'stream', app: stream };
    const app = APP_PATTERN.exec(pathname)?.[1];
    return app === undefined ? undefined : { kind: 'run', app };
  }
  if (host !== 'queue.fal.run') return undefined;
  const [, app, id, action = ''] = REQUEST_PATTERN.exec(pathname) ?? [];
  if (app !== undefined && id !== undefined) {
    if (!IDENTIFIER_PATTERN.test(id)) return undefined;
    const logs = searchParams.get('logs') === '1';
    return { kind: KINDS[action as keyof typeof KINDS], app, id, logs };
  }
  const submitted = APP_PATTERN.exec(pathname)?.[1];
  if (submitted === undefined) return undefined;
  return { kind: 'submit', app: submitted, webhook: searchParams.get('fal_webhook') };
}
