/** `pixart-edge/signing`: permissions for URLs, made on a server. The secret does not belong on a page. */
import { signUrl as sign } from '../signed-url.ts';

export interface SignUrlOptions {
  /** Id and secret of one of the service's `URL_SIGNING_KEYS`. */
  readonly keyId: string;
  readonly secret: string;
  /** 1–3,600. Default 3,600. */
  readonly expiresInSeconds?: number | undefined;
}

/**
 * The URL with its permission: of `promptUrl()`, so that it draws without a key.
 *
 * @throws {RangeError} for a time beyond an hour
 */
export async function signUrl(
  url: string,
  { keyId, secret, expiresInSeconds = 3600 }: SignUrlOptions,
): Promise<string> {
  if (!(expiresInSeconds >= 1 && expiresInSeconds <= 3600)) {
    throw new RangeError(`expiresInSeconds must be from 1 to 3600, not ${expiresInSeconds}`);
  }
  const expires = Math.floor(Date.now() / 1000) + Math.floor(expiresInSeconds);
  return sign(url, { key: { id: keyId, secret }, expires });
}
