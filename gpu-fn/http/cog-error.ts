/**
 * Errors as the Cog protocol shows them.
 *
 *     422    { detail: [{ loc: ["body", "input", field], msg, type }] }
 *     else   { error, status: "failed", code }
 *
 * `code` is ours, for the edge; Cog clients ignore it. What a `ServiceError` holds for the log stays there.
 */
import type * as z from 'zod';
import type { ErrorCode, ServiceError } from '#shared/errors.ts';
import { HEADERS } from '#shared/headers.ts';

export interface FieldFault {
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  readonly type: 'value_error' | 'value_error.missing';
}

/** A request whose fields do not hold: 422 with one entry for each. */
export class ValidationError extends Error {
  override readonly name = 'ValidationError';
  readonly faults: readonly FieldFault[];

  constructor(faults: readonly FieldFault[]) {
    super(faults.map(({ loc, msg }) => `${loc.join('.')}: ${msg}`).join('; '));
    this.faults = faults;
  }
}

export interface RenderedError {
  readonly status: number;
  readonly code: ErrorCode;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
}

/** Where Cog's status differs from that of our own surface. */
const STATUS: Partial<Record<ErrorCode, number>> = { overloaded: 409 };

export function renderError(error: ValidationError | ServiceError): RenderedError {
  if (error instanceof ValidationError) {
    return { status: 422, code: 'invalid_parameter', body: { detail: error.faults }, headers: {} };
  }
  const { code, detail, param, retryAfterMs } = error;
  const status = STATUS[code] ?? error.status;
  const headers: Record<string, string> = {};
  if (retryAfterMs !== undefined) {
    headers[HEADERS.retryAfter] = String(Math.ceil(retryAfterMs / 1000));
  }
  if (status === 401) headers['WWW-Authenticate'] = 'Pixart-Signature';
  if (status === 422) {
    const loc = ['body', 'input', param ?? '__root__'];
    const fault: FieldFault = { loc, msg: detail, type: 'value_error' };
    return { status, code, body: { detail: [fault] }, headers };
  }
  return { status, code, body: { error: detail, status: 'failed', code }, headers };
}

/** @param at  where the parsed value lies in the request, such as `['body', 'input']` */
export function toValidationError(error: z.ZodError, at: readonly string[]): ValidationError {
  return new ValidationError(
    error.issues.map((issue) => {
      const path = issue.path.length > 0 ? issue.path.map(toLocPart) : ['__root__'];
      const missing = issue.code === 'invalid_type' && issue.input === undefined;
      return missing
        ? { loc: [...at, ...path], msg: 'Field required', type: 'value_error.missing' }
        : { loc: [...at, ...path], msg: issue.message, type: 'value_error' };
    }),
  );
}

function toLocPart(part: PropertyKey): string | number {
  return typeof part === 'symbol' ? String(part) : part;
}
