/** An `ApiError` out of what the server said: a response that is not ok, or the event that ended a stream. */
import {
  ApiError,
  type ApiErrorFields,
  AuthenticationError,
  BadRequestError,
  PermissionError,
  RateLimitError,
  ServerError,
} from './errors.ts';

/** Members of an error body on any surface; each may be missing. */
interface ErrorBody {
  readonly code?: unknown;
  readonly detail?: unknown;
  readonly param?: unknown;
  readonly request_id?: unknown;
  readonly retryable?: unknown;
  readonly error?: {
    readonly message?: unknown;
    readonly type?: unknown;
    readonly code?: unknown;
    readonly param?: unknown;
    /** Our code, in an event: the top level of a body has it as `code`. */
    readonly reason?: unknown;
    readonly request_id?: unknown;
    readonly retryable?: unknown;
    readonly retry_after_ms?: unknown;
  };
}

/** Reads the body, which may be anything: something between us and the server may have answered. */
export async function readApiError(response: Response): Promise<ApiError> {
  const { status, headers } = response;
  const body = await response.json().catch(() => undefined);
  const hint = headers.get('x-should-retry');
  return toApiError(body, {
    status,
    requestId: headers.get('x-request-id') ?? undefined,
    retryAfterMs: parseRetryAfter(headers, Date.now()),
    ...(hint !== null && { shouldRetry: hint === 'true' }),
  });
}

export function toApiError(
  body: unknown,
  about: {
    readonly status?: number;
    readonly requestId: string | undefined;
    readonly retryAfterMs?: number | undefined;
    readonly shouldRetry?: boolean;
  },
): ApiError {
  const top = (typeof body === 'object' && body !== null ? body : {}) as ErrorBody;
  const inner = typeof top.error === 'object' && top.error !== null ? top.error : {};
  const { status } = about;
  const code = text(top.code) ?? text(inner.reason) ?? text(inner.code) ?? `http_${status}`;
  const retryable =
    about.shouldRetry ?? bool(top.retryable) ?? bool(inner.retryable) ?? isRetryableStatus(status);
  const said = text(inner.message) ?? text(top.detail);
  const fields: ApiErrorFields & { retryable: boolean } = {
    status,
    code,
    param: text(inner.param) ?? text(top.param),
    requestId: text(top.request_id) ?? text(inner.request_id) ?? about.requestId,
    retryAfterMs: about.retryAfterMs ?? number(inner.retry_after_ms),
    retryable,
  };
  const Class = classOf(status, text(inner.type), text(inner.code));
  return new Class(said ?? `The server answered with status ${status}.`, fields);
}

/**
 * Milliseconds of `retry-after-ms`, or of `Retry-After` in seconds or as a date.
 *
 * @see RFC 9110, 10.2.3
 */
export function parseRetryAfter(headers: Headers, nowMs: number): number | undefined {
  const exact = headers.get('retry-after-ms');
  const given = headers.get('retry-after');
  let ms = Number.NaN;
  if (exact !== null) ms = Number.parseFloat(exact);
  if (Number.isNaN(ms) && given !== null) {
    ms = /^\s*\d/.test(given) ? Number.parseFloat(given) * 1000 : Date.parse(given) - nowMs;
  }
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function isRetryableStatus(status = 0): boolean {
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

function classOf(status: number | undefined, type: string | undefined, code: string | undefined) {
  if (status === 401 || code === 'invalid_api_key') return AuthenticationError;
  if (status === 403 || type === 'permission_error') return PermissionError;
  if (status === 429 || type === 'requests' || type === 'insufficient_quota') return RateLimitError;
  if ((status ?? 0) >= 500 || type === 'server_error') return ServerError;
  return (status ?? 0) >= 400 || type === 'invalid_request_error' ? BadRequestError : ApiError;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function bool(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
