/** Whether a request comes from the edge: `shared/signature.ts` with this process's keys and memory. */
import { ServiceError } from '#shared/errors.ts';
import { HEADERS } from '#shared/headers.ts';
import {
  NonceStore,
  type SignedRequest,
  type SigningKey,
  verifyRequest,
} from '#shared/signature.ts';

type Header = (name: string) => string | undefined;

export interface SignatureVerifier {
  /** Cheap: refuses a request that is not signed at all, before its body is read. */
  precheck(header: Header): void;
  /** @throws {ServiceError} `invalid_signature`, `clock_skew`, `replayed`, `overloaded` */
  verify(request: SignedRequest, header: Header): Promise<void>;
}

export function createSignatureVerifier({
  keys,
  now = Date.now,
}: {
  keys: readonly SigningKey[];
  /** milliseconds since 1970 */
  now?: () => number;
}): SignatureVerifier {
  const nonces = new NonceStore();
  const parts = [HEADERS.keyId, HEADERS.timestamp, HEADERS.nonce, HEADERS.signature];
  return {
    precheck: (header) => {
      if (parts.every((name) => header(name))) return;
      const detail = `Requests must be signed: ${parts.join(', ')}.`;
      throw new ServiceError('invalid_signature', { detail });
    },
    verify: (request, header) => verifyRequest(request, { header, keys, nonces, nowMs: now() }),
  };
}
