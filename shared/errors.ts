/**
 * The one table of errors: code ⇄ HTTP status ⇄ title ⇄ retryable, and the words OpenAI clients know.
 *
 * Codes are API: add freely, never rename. Each is documented in `docs/api.md`.
 */

/** How one code looks on the OpenAI surface. `status` is set where it differs from ours. */
interface OpenAiForm {
  readonly type: string;
  readonly code: string;
  readonly status?: number;
}

interface ErrorForm {
  readonly status: number;
  readonly title: string;
  /** Whether the same request may succeed later without being changed. */
  readonly retryable: boolean;
  readonly openai: OpenAiForm;
}

const INVALID_REQUEST = 'invalid_request_error';

/** A mistake in the shape of the request. OpenAI has no word of its own for it. */
function badRequest(status: number, title: string, code: string): ErrorForm {
  return { status, title, retryable: false, openai: { type: INVALID_REQUEST, code } };
}

/** A refused value: 422 with us, 400 on the OpenAI surface. */
function badValue(title: string, code = 'invalid_value', status = 400): ErrorForm {
  return {
    status: 422,
    title,
    retryable: false,
    openai: { type: INVALID_REQUEST, code, status },
  };
}

function unauthorized(title: string): ErrorForm {
  return {
    status: 401,
    title,
    retryable: false,
    openai: { type: INVALID_REQUEST, code: 'invalid_api_key' },
  };
}

function forbidden(title: string, code: string): ErrorForm {
  return { status: 403, title, retryable: false, openai: { type: 'permission_error', code } };
}

function serverError(status: number, title: string, code: string, retryable: boolean): ErrorForm {
  return { status, title, retryable, openai: { type: 'server_error', code } };
}

export const ERRORS = {
  malformed_json: badRequest(400, 'The body is not valid JSON', 'malformed_json'),
  invalid_utf8: badRequest(400, 'The text is not valid Unicode', 'invalid_utf8'),
  duplicate_member: badRequest(400, 'A JSON member appears twice', 'duplicate_member'),
  json_too_complex: badRequest(400, 'The JSON is too deep or too wide', 'json_too_complex'),
  invalid_header: badRequest(400, 'A header has an unusable value', 'invalid_header'),
  invalid_path: badRequest(400, 'The path is not in canonical form', 'invalid_path'),
  invalid_query: badRequest(400, 'The query has an unusable value', 'invalid_query'),
  invalid_idempotency_key: badRequest(
    400,
    'The idempotency key is unusable',
    'invalid_idempotency_key',
  ),

  missing_credentials: unauthorized('No API key was sent'),
  invalid_credentials: unauthorized('The API key is not valid'),
  token_expired: unauthorized('The token has expired'),
  token_not_yet_valid: unauthorized('The token is not valid yet'),
  invalid_signature: unauthorized('The request signature is not valid'),
  clock_skew: unauthorized('The clocks of caller and server differ too much'),
  replayed: unauthorized('The signed request was sent before'),

  scope_denied: forbidden('The API key may not do this', 'insufficient_scope'),
  origin_not_allowed: forbidden('This web origin is not allowed', 'origin_not_allowed'),

  url_signature_invalid: forbidden(
    'The signature of the URL is not valid',
    'url_signature_invalid',
  ),
  url_expired: forbidden('The signed URL has expired', 'url_expired'),

  not_found: badRequest(404, 'There is nothing here', 'unknown_url'),
  model_not_found: badRequest(404, 'The model is not known', 'model_not_found'),
  adapter_not_found: badRequest(404, 'The adapter is not known', 'adapter_not_found'),
  method_not_allowed: badRequest(405, 'The method is not allowed here', 'method_not_allowed'),
  image_deleted: badRequest(410, 'The picture was deleted', 'image_deleted'),
  request_timeout: {
    status: 408,
    title: 'The request took too long to arrive',
    retryable: true,
    openai: { type: INVALID_REQUEST, code: 'request_timeout' },
  },
  payload_too_large: badRequest(413, 'The body is too large', 'request_too_large'),
  uri_too_long: badRequest(414, 'The URL is too long', 'uri_too_long'),
  unsupported_media_type: badRequest(
    415,
    'The body has an unsupported type',
    'unsupported_media_type',
  ),
  unsupported_encoding: badRequest(415, 'The body is compressed', 'unsupported_encoding'),
  range_not_satisfiable: badRequest(
    416,
    'The range lies outside the picture',
    'range_not_satisfiable',
  ),
  headers_too_large: badRequest(431, 'The headers are too large', 'headers_too_large'),

  invalid_parameter: badValue('A parameter has an unusable value'),
  missing_parameter: badValue('A required parameter is missing', 'missing_required_parameter'),
  unknown_parameter: badValue('A parameter is not known'),
  prompt_empty: badValue('The prompt is empty'),
  prompt_too_long: badValue('The prompt is too long'),
  adapter_invalid: badValue('The adapter cannot be used with this model'),
  image_invalid: badValue('The input picture cannot be read'),
  url_forbidden: badValue('A URL of the request may not be called'),
  image_too_many_pixels: badValue('The input picture has too many pixels'),
  image_animated: badValue('The input picture has more than one frame'),
  moderation_blocked: {
    status: 422,
    title: 'The prompt is refused by the policy of this service',
    retryable: false,
    openai: { type: 'image_generation_user_error', code: 'moderation_blocked', status: 400 },
  },
  request_quarantined: badValue('The request has stopped the model server before'),
  idempotency_mismatch: badValue(
    'The idempotency key belongs to another request',
    'idempotency_mismatch',
    422,
  ),

  rate_limited: {
    status: 429,
    title: 'Too many requests',
    retryable: true,
    openai: { type: 'requests', code: 'rate_limit_exceeded' },
  },
  quota_exhausted: {
    status: 429,
    title: 'The quota is used up',
    retryable: false,
    openai: { type: 'insufficient_quota', code: 'insufficient_quota' },
  },
  too_many_streams: {
    status: 429,
    title: 'Too many open streams',
    retryable: true,
    openai: { type: 'requests', code: 'rate_limit_exceeded' },
  },

  internal_error: serverError(500, 'Something failed on our side', 'backend_error', false),
  out_of_memory: serverError(
    500,
    'The picture needs more memory than there is',
    'backend_error',
    false,
  ),
  upstream_invalid_response: serverError(
    502,
    'The model server answered with something unusable',
    'backend_error',
    true,
  ),
  upstream_truncated: serverError(
    502,
    'The model server stopped in the middle of the picture',
    'backend_error',
    true,
  ),
  upstream_mismatch: serverError(
    502,
    'The model server answered for something else',
    'backend_error',
    true,
  ),
  overloaded: serverError(503, 'All model servers are busy', 'capacity_unavailable', true),
  upstream_lost: serverError(
    503,
    'The connection to the model server was lost',
    'capacity_unavailable',
    true,
  ),
  circuit_open: serverError(503, 'The model server is being rested', 'capacity_unavailable', true),
  model_unavailable: serverError(503, 'The model is not ready', 'starting', true),
  auth_unavailable: serverError(
    503,
    'API keys cannot be checked now',
    'capacity_unavailable',
    true,
  ),
  deadline_exceeded: serverError(504, 'The deadline has passed', 'timeout', true),
  upstream_stalled: serverError(504, 'The model server went silent', 'timeout', true),
  not_cached: serverError(504, 'The picture is not in the cache', 'not_cached', false),
} as const satisfies Record<string, ErrorForm>;

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERRORS, value);
}

export interface ServiceErrorOptions {
  /** For the caller: what is wrong and how to mend it. Defaults to the title of the code. */
  readonly detail?: string;
  /** For the log only. Defaults to the detail. */
  readonly message?: string;
  /** The field, as a path: `loras[0].id`. */
  readonly param?: string;
  /** When the caller should try again. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** An error that has a code of the table, one text for the caller and one for the log. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly code: ErrorCode;
  readonly detail: string;
  readonly param: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, options: ServiceErrorOptions = {}) {
    const detail = options.detail ?? `${ERRORS[code].title}.`;
    super(options.message ?? detail, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.detail = detail;
    this.param = options.param;
    this.retryAfterMs = options.retryAfterMs;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}

/** Status of a code on the OpenAI surface: 422 becomes 400, except `idempotency_mismatch`. */
export function openAiStatus(code: ErrorCode): number {
  const form: ErrorForm = ERRORS[code];
  return form.openai.status ?? form.status;
}
