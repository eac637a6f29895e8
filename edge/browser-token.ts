/**
 * Browser tokens: JWTs signed with Ed25519, good for minutes, from certain origins, within what their API key may.
 *
 * Every API key has a signing key of its own, which never leaves the object of the key; `kid` is the id of the API key and the
 * number of its signing key. So a token dies with its key, and no secret of the deployment stands behind all of them.
 */
import {
  base64url,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose';
import * as z from 'zod';
import { API_KEY_ID_PATTERN } from '#shared/api-key.ts';
import { ServiceError } from '#shared/errors.ts';
import { decodeUtf8, parseJsonObject } from '#shared/json.ts';
import { TOKEN_LENGTH_MAX, TOKEN_TTL_SECONDS_MAX } from '#shared/limits.ts';
import { SCOPES } from '#shared/schemas/api-key.ts';

const ALGORITHM = 'EdDSA';
const AUDIENCE = 'pixart-edge';
/** Clocks may differ so much in what lies in the future; what has expired has expired. */
const LEEWAY_SECONDS = 5;
const KID_PATTERN = /^([a-z0-9]{12})-[0-9]{1,6}$/;

/** Private; kept by the object of the API key. */
export interface TokenSigningKey {
  readonly kid: string;
  readonly jwk: JWK;
  /** Unix milliseconds after which its tokens are refused: it has been replaced. */
  readonly untilMs?: number | undefined;
}

/** What tokens are checked with. */
export interface TokenKey {
  readonly kid: string;
  /** Public key, base64url. */
  readonly x: string;
  readonly untilMs?: number | undefined;
}

const claims = z.object({
  aud: z.literal(AUDIENCE),
  /** Id of the API key. */
  sub: z.string().regex(API_KEY_ID_PATTERN),
  jti: z.string().regex(/^[0-9a-f]{32}$/),
  /** Unix seconds. */
  iat: z.int(),
  exp: z.int(),
  origins: z.array(z.string()).min(1),
  scopes: z.array(z.enum(SCOPES)).min(1),
  /** Pictures that may be drawn with it. */
  generations: z.int().min(0),
  models: z.array(z.string()).optional(),
});
export type TokenClaims = z.infer<typeof claims>;

export async function createTokenKey(kid: string): Promise<TokenSigningKey> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { crv: 'Ed25519', extractable: true });
  return { kid, jwk: await exportJWK(privateKey) };
}

export function toPublic({ kid, jwk, untilMs }: TokenSigningKey): TokenKey {
  return { kid, x: jwk.x ?? '', ...(untilMs !== undefined && { untilMs }) };
}

export async function signToken(
  key: TokenSigningKey,
  wanted: Omit<TokenClaims, 'aud'>,
): Promise<string> {
  return new SignJWT({ ...wanted, aud: AUDIENCE })
    .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: key.kid })
    .sign(await importJWK(key.jwk, ALGORITHM));
}

/**
 * Which API key a token says it belongs to: undefined for what cannot be one of ours, without any look-up. One token has one
 * spelling: spare bits and paddings are refused.
 */
export function parseToken(
  token: string,
): { readonly keyId: string; readonly kid: string } | undefined {
  const parts = token.split('.');
  if (token.length > TOKEN_LENGTH_MAX || parts.length !== 3) return undefined;
  try {
    if (!parts.every((part) => base64url.encode(base64url.decode(part)) === part)) return undefined;
    const head = parseJsonObject(decodeUtf8(base64url.decode(parts[0]!)));
    // Nothing in a token may choose how it is checked.
    if (Object.keys(head).some((name) => !['alg', 'typ', 'kid'].includes(name))) return undefined;
    if (head.alg !== ALGORITHM || typeof head.kid !== 'string') return undefined;
    // Members that appear twice are refused here, before a lenient reader picks one of them.
    parseJsonObject(decodeUtf8(base64url.decode(parts[1]!)));
    const keyId = KID_PATTERN.exec(head.kid)?.[1];
    return keyId === undefined ? undefined : { keyId, kid: head.kid };
  } catch {
    // Neither base64url nor JSON: no token.
    return undefined;
  }
}

/** @throws {ServiceError} `token_expired`, `token_not_yet_valid` or `invalid_credentials` */
export async function verifyToken(
  token: string,
  { key, keyId, nowMs }: { readonly key: TokenKey; readonly keyId: string; readonly nowMs: number },
): Promise<TokenClaims> {
  if (key.untilMs !== undefined && key.untilMs <= nowMs) {
    throw new ServiceError('invalid_credentials');
  }
  const publicKey = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: key.x }, ALGORITHM);
  let payload: unknown;
  try {
    ({ payload } = await jwtVerify(token, publicKey, {
      algorithms: [ALGORITHM],
      audience: AUDIENCE,
      subject: keyId,
      requiredClaims: ['exp', 'iat', 'jti'],
      currentDate: new Date(nowMs),
    }));
  } catch (error) {
    throw new ServiceError(codeOf(error), { cause: error });
  }
  const parsed = claims.safeParse(payload);
  if (!parsed.success) throw new ServiceError('invalid_credentials');
  const { iat, exp } = parsed.data;
  if (iat * 1000 > nowMs + LEEWAY_SECONDS * 1000) throw new ServiceError('token_not_yet_valid');
  if (exp - iat > TOKEN_TTL_SECONDS_MAX) throw new ServiceError('invalid_credentials');
  return parsed.data;
}

function codeOf(error: unknown): 'token_expired' | 'token_not_yet_valid' | 'invalid_credentials' {
  const { code, claim } = error as { readonly code?: string; readonly claim?: string };
  if (code === 'ERR_JWT_EXPIRED') return 'token_expired';
  return claim === 'nbf' ? 'token_not_yet_valid' : 'invalid_credentials';
}
