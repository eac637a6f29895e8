/** The header `Idempotency-Key`: quoted as the draft has it, or bare as most send it. */
import { ServiceError } from '#shared/errors.ts';
import { IDEMPOTENCY_KEY_LENGTH_MAX } from '#shared/limits.ts';

/**
 * The name that the caller has given this request, or undefined.
 *
 * @throws {ServiceError} `invalid_idempotency_key`
 */
export function parseIdempotencyKey(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const key = /^"(.*)"$/.exec(header)?.[1] ?? header;
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > IDEMPOTENCY_KEY_LENGTH_MAX) {
    throw new ServiceError('invalid_idempotency_key', {
      detail: `An idempotency key has 1 to ${IDEMPOTENCY_KEY_LENGTH_MAX} visible ASCII characters.`,
    });
  }
  return key;
}
