/**
 * What can go wrong with a call, as classes. Every one is a `PixartError`; aborting a signal is not an error of ours and
 * rejects with the reason of the signal.
 *
 *     PixartError
 *     ├─ ApiError                the server said no: status, code, param, requestId
 *     │  ├─ BadRequestError      400, 404, 405, 408, 409, 410, 413 … and 422
 *     │  ├─ AuthenticationError  401
 *     │  ├─ PermissionError      403
 *     │  ├─ RateLimitError       429
 *     │  └─ ServerError          500 and above
 *     ├─ ConnectionError         no answer, or one that broke off
 *     │  └─ StreamTruncatedError a stream that ended without its last event
 *     ├─ TimeoutError            a deadline passed, or a stream went silent
 *     └─ InvalidResponseError    an answer that is not what was asked for
 *        └─ DigestMismatchError  a picture whose bytes are not those of its digest
 */
import type { ErrorCode } from './types.ts';

export class PixartError extends Error {
  override readonly name: string = 'PixartError';
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;

  constructor(message: string, { retryable = false, cause }: PixartErrorOptions = {}) {
    super(message, cause === undefined ? {} : { cause });
    this.retryable = retryable;
  }
}

export interface PixartErrorOptions {
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

export interface ApiErrorFields {
  /** Absent for an error that ended a stream: its status was 200. */
  readonly status?: number | undefined;
  /** A code of the service's table, or what something between it and us said. */
  readonly code: ErrorCode | (string & {});
  /** The field that caused it, as a path. */
  readonly param?: string | undefined;
  readonly requestId?: string | undefined;
  /** When to try again. */
  readonly retryAfterMs?: number | undefined;
}

export class ApiError extends PixartError implements ApiErrorFields {
  override readonly name: string = 'ApiError';
  readonly status: number | undefined;
  readonly code: ErrorCode | (string & {});
  readonly param: string | undefined;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, { retryable, ...fields }: ApiErrorFields & { retryable: boolean }) {
    super(message, { retryable });
    this.status = fields.status;
    this.code = fields.code;
    this.param = fields.param;
    this.requestId = fields.requestId;
    this.retryAfterMs = fields.retryAfterMs;
  }
}

export class BadRequestError extends ApiError {
  override readonly name = 'BadRequestError';
}

export class AuthenticationError extends ApiError {
  override readonly name = 'AuthenticationError';
}

export class PermissionError extends ApiError {
  override readonly name = 'PermissionError';
}

export class RateLimitError extends ApiError {
  override readonly name = 'RateLimitError';
}

export class ServerError extends ApiError {
  override readonly name = 'ServerError';
}

export class ConnectionError extends PixartError {
  override readonly name: string = 'ConnectionError';
}

export class StreamTruncatedError extends ConnectionError {
  override readonly name = 'StreamTruncatedError';
}

export class TimeoutError extends PixartError {
  override readonly name = 'TimeoutError';
}

export class InvalidResponseError extends PixartError {
  override readonly name: string = 'InvalidResponseError';
}

export class DigestMismatchError extends InvalidResponseError {
  override readonly name = 'DigestMismatchError';
}
