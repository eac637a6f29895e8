/** Names of the headers and media types that edge, function and clients agree on. */

export const HEADERS = {
  requestId: 'X-Request-Id',
  warning: 'Pixart-Warning',
  /** How many previews the caller of the function wants in its event stream. */
  previews: 'Pixart-Previews',
  /** The four parts of a request signature, see `signature.ts`. */
  keyId: 'Pixart-Key-Id',
  timestamp: 'Pixart-Timestamp',
  nonce: 'Pixart-Nonce',
  signature: 'Pixart-Signature',
  cacheStatus: 'Cache-Status',
  serverTiming: 'Server-Timing',
  rateLimit: 'RateLimit',
  rateLimitPolicy: 'RateLimit-Policy',
  retryAfter: 'Retry-After',
  retryAfterMs: 'retry-after-ms',
  shouldRetry: 'x-should-retry',
  idempotencyKey: 'Idempotency-Key',
  idempotencyReplayed: 'Idempotency-Replayed',
  /** Which attempt of OpenAI's clients this is, from 0. */
  retryCount: 'X-Stainless-Retry-Count',
  traceparent: 'traceparent',
  /** Of outgoing webhooks, see `edge/webhook-signature.ts`. */
  webhookId: 'webhook-id',
  webhookTimestamp: 'webhook-timestamp',
  webhookSignature: 'webhook-signature',
  prefer: 'Prefer',
  preferenceApplied: 'Preference-Applied',
  cancelAfter: 'Cancel-After',
  lastEventId: 'Last-Event-ID',
} as const;

export const MEDIA_TYPES = {
  json: 'application/json',
  problem: 'application/problem+json',
  eventStream: 'text/event-stream',
  png: 'image/png',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
} as const;

/** `X-Request-Id` values that are taken over from a caller; anything else is replaced. */
export const REQUEST_ID_PATTERN = /^[A-Za-z0-9._-]{8,128}$/;
