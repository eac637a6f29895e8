/** Errors as responses and as stream events: one error, one shape for each surface. */
import { ERRORS, type ErrorCode, openAiStatus, ServiceError } from '#shared/errors.ts';
import { HEADERS, MEDIA_TYPES } from '#shared/headers.ts';
import type { ErrorEvent } from '#shared/schemas/event.ts';
import type { OpenAiErrorBody, Problem } from '#shared/schemas/problem.ts';

/** `problem` is a bare problem document; `replicate` and `fal` are what clients of these read. */
export type Surface = 'openai' | 'replicate' | 'fal' | 'problem';

export interface RenderOptions {
  readonly surface: Surface;
  readonly requestId: string;
  /** Path of the request, without its query. */
  readonly instance: string;
}

/** What has no code of ours is our own fault, and says nothing of itself. */
export function toServiceError(error: unknown): ServiceError {
  return error instanceof ServiceError
    ? error
    : new ServiceError('internal_error', { message: 'unexpected error', cause: error });
}

export function renderError(error: ServiceError, options: RenderOptions): Response {
  const { surface } = options;
  const status = surface === 'openai' ? openAiStatus(error.code) : error.status;
  const problem = toProblem(error, status, options);
  const isProblem = surface === 'problem' || surface === 'replicate';
  const headers = new Headers({
    'Content-Type': isProblem ? MEDIA_TYPES.problem : MEDIA_TYPES.json,
    'Cache-Control': 'no-store',
  });
  if (status === 401) headers.set('WWW-Authenticate', 'Bearer');
  if (error.retryAfterMs !== undefined) {
    headers.set(HEADERS.retryAfter, String(Math.max(1, Math.ceil(error.retryAfterMs / 1000))));
    headers.set(HEADERS.retryAfterMs, String(error.retryAfterMs));
  }
  const wouldBeRetried = status === 408 || status === 409 || status === 429 || status >= 500;
  if (wouldBeRetried) headers.set(HEADERS.shouldRetry, String(error.retryable));
  const body = BODIES[surface](error, problem);
  return new Response(JSON.stringify(body), { status, headers });
}

/** Data of the event that ends a stream on the OpenAI surface. */
export function toErrorEvent(error: ServiceError, requestId: string): ErrorEvent {
  const { code, retryable, retryAfterMs, param, detail } = error;
  const form = ERRORS[code].openai;
  return {
    type: 'error',
    error: {
      message: detail,
      type: form.type,
      code: form.code,
      param: param ?? null,
      // Beside OpenAI's members: our code, and whether to come back.
      reason: code,
      retryable,
      request_id: requestId,
      ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }),
    },
  };
}

function toProblem(
  error: ServiceError,
  status: number,
  { requestId, instance }: RenderOptions,
): Problem {
  const { code, detail, param, retryable, retryAfterMs } = error;
  return {
    type: problemType(code),
    title: ERRORS[code].title,
    status,
    detail,
    instance,
    code,
    ...(param !== undefined && { param }),
    retryable,
    request_id: requestId,
    ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }),
  };
}

function problemType(code: ErrorCode): string {
  if (code === 'rate_limited' || code === 'quota_exhausted') {
    return 'https://iana.org/assignments/http-problem-types#quota-exceeded';
  }
  if (code === 'overloaded') {
    return 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity';
  }
  return `urn:pixart-edge:error:${code}`;
}

function toOpenAiBody(error: ServiceError, problem: Problem): OpenAiErrorBody {
  const { type, code } = ERRORS[error.code].openai;
  return {
    error: { message: error.detail, type, param: error.param ?? null, code },
    ...problem,
  };
}

/** Clients of Replicate read `detail` as a string, and have nothing to do with an `error` that is not one. */
function toReplicateBody(error: ServiceError, problem: Problem) {
  const { param, code, detail } = error;
  if (error.status !== 422) return problem;
  return { ...problem, invalid_fields: [{ field: param ?? '', type: code, description: detail }] };
}

/** `message` is what the client shows; where a member is wrong `detail` says which. */
function toFalBody(error: ServiceError, problem: Problem) {
  const { param, code, detail } = error;
  const loc = [
    'body',
    ...(param ?? '')
      .replace(/^input\./, '')
      .split('.')
      .filter(Boolean),
  ];
  const shown = error.status === 422 ? [{ loc, msg: detail, type: code }] : detail;
  return { ...problem, message: detail, detail: shown };
}

const BODIES = {
  openai: toOpenAiBody,
  replicate: toReplicateBody,
  fal: toFalBody,
  problem: (_error: ServiceError, problem: Problem) => problem,
} satisfies Record<Surface, (error: ServiceError, problem: Problem) => unknown>;
