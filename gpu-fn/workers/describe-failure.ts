/** What may be told of an error that was thrown inside a worker, and what only the log may hold. */
import { type ErrorCode, ServiceError } from '#shared/errors.ts';

export interface FailureDescription {
  readonly code: ErrorCode;
  /** for the caller: constants, or a sentence that was written for callers */
  readonly detail: string;
  /** for the log */
  readonly stack: string;
  readonly param?: string;
}

/** ONNX Runtime reports memory it could not get by text only. */
const OUT_OF_MEMORY = /bad_alloc|out of memory|failed to allocate|alloc.*failed/i;

export function describeFailure(error: unknown): FailureDescription {
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? (error.stack ?? message) : message;
  if (error instanceof ServiceError) {
    const { code, detail, param } = error;
    return { code, detail, stack, ...(param !== undefined && { param }) };
  }
  if (OUT_OF_MEMORY.test(message)) {
    return { code: 'out_of_memory', detail: 'The picture needs more memory than there is.', stack };
  }
  return { code: 'internal_error', detail: 'The picture could not be drawn.', stack };
}

/**
 * What the health check may tell of a model that could not be loaded: the file's name, not where it lies.
 *
 * @param bundle  folder of the bundle, which the messages of `BundleError` begin with
 */
export function describeSetupFailure(error: unknown, bundle: string): FailureDescription {
  const { stack } = describeFailure(error);
  const named = error instanceof Error && error.name === 'BundleError';
  const reason = named
    ? ` ${error.message.replaceAll(`${bundle}/`, '').replaceAll(bundle, 'the folder')}.`
    : '';
  return { code: 'model_unavailable', detail: `The model could not be loaded.${reason}`, stack };
}
