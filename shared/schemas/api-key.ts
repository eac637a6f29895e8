/** API keys, browser tokens and usage: what the operator configures, what callers send, what they get. */
import * as z from 'zod';
import { API_KEY_ID_PATTERN, API_KEY_TYPES } from '../api-key.ts';
import { STREAMS_PER_KEY, TOKEN_GENERATIONS_MAX, TOKEN_TTL_SECONDS_MAX } from '../limits.ts';
import { integerField, showValue, textField, wordField } from './fields.ts';
import { MODEL_NAME_PATTERN } from './model.ts';

/**
 * What a key may do. `generate` draws, `read` looks, `keys` manages the keys of its account, `admin` those of every account
 * and reads the metrics.
 */
export const SCOPES = ['generate', 'read', 'keys', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** When a quota begins anew, in UTC; `total` never does. */
export const QUOTA_PERIODS = ['day', 'month', 'total'] as const;
export type QuotaPeriod = (typeof QUOTA_PERIODS)[number];

const RATE_MAX = 1_000_000;
const STREAMS_MAX = 10_000;
const LIST_MAX = 16;

const scopes = z.array(wordField(SCOPES)).min(1).max(SCOPES.length);
const rate = integerField(1, RATE_MAX);
const streams = integerField(1, STREAMS_MAX);
const account = z
  .string({ error: (issue) => `must be a string, not ${showValue(issue.input)}` })
  .regex(/^[A-Za-z0-9._-]{1,64}$/, { error: 'must match [A-Za-z0-9._-]{1,64}' });

/** A web origin as browsers send it. */
export const webOrigin = z
  .string({ error: (issue) => `must be a string, not ${showValue(issue.input)}` })
  .refine((text) => URL.canParse(text) && new URL(text).origin === text, {
    error: 'must be an origin such as https://images.example',
  });

const origins = z.array(webOrigin).min(1).max(LIST_MAX);
const modelName = z.string().regex(MODEL_NAME_PATTERN, { error: 'must be a name or owner/name' });
const models = z.array(modelName).min(1).max(LIST_MAX);

/** Pictures that may be drawn in a period, whatever the rate. */
export const quota = z.strictObject({
  generations: integerField(0, 1_000_000_000),
  period: wordField(QUOTA_PERIODS),
});
export type Quota = z.infer<typeof quota>;

/** A key as it is kept and as the operator configures it: never the key itself. */
export const keyRecord = z.object({
  id: z.string().regex(API_KEY_ID_PATTERN),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  type: z.enum(API_KEY_TYPES).optional(),
  name: z.string().max(64).optional(),
  account: account.default('default'),
  scopes: scopes.default(['generate', 'read']),
  /** Generations per minute, and how many of them at once. */
  rate: rate.default(60),
  burst: rate.default(10),
  quota: quota.optional(),
  streams: streams.optional(),
  allowed_origins: origins.optional(),
  allowed_models: models.optional(),
  /** Unix seconds. */
  expires_at: z.int().min(0).optional(),
});
export type KeyRecord = z.infer<typeof keyRecord>;

export const createKeyRequest = z.strictObject({
  name: textField(64).nullish().describe('For people'),
  type: wordField(API_KEY_TYPES)
    .nullish()
    .describe('secret (default), or publishable: may be printed into pages'),
  account: account.nullish().describe('Another account than that of the caller; needs admin'),
  scopes: scopes.nullish().describe('Default generate and read; never more than the caller has'),
  rate: rate.nullish().describe('Generations per minute; default 60, or that of the caller'),
  burst: rate.nullish().describe('How many of them at once; default 10, or that of the caller'),
  quota: quota.nullish().describe('Generations in a period; absent is unlimited'),
  streams: streams.nullish().describe(`Open streams at once. Default ${STREAMS_PER_KEY}`),
  allowed_origins: origins
    .nullish()
    .describe('Web origins that it is good from; required for publishable keys'),
  allowed_models: models.nullish().describe('Models that it may draw with; absent is all'),
  expires_at: integerField(1, 253_402_300_799).nullish().describe('Unix seconds'),
});
export type CreateKeyRequest = z.infer<typeof createKeyRequest>;

export const rotateKeyRequest = z.strictObject({
  grace_seconds: integerField(0, 86_400)
    .nullish()
    .describe('How long the old secret is good for beside the new one. Default 0'),
});

export const keyObject = z.object({
  object: z.literal('api_key'),
  id: z.string(),
  key: z.string().optional().describe('The key itself: only in the answer that makes it'),
  type: z.enum(API_KEY_TYPES),
  name: z.string().nullable(),
  account: z.string(),
  scopes: z.array(z.enum(SCOPES)),
  rate: z.int(),
  burst: z.int(),
  quota: quota.nullable(),
  streams: z.int(),
  allowed_origins: z.array(z.string()).nullable(),
  allowed_models: z.array(z.string()).nullable(),
  source: z.enum(['api', 'configuration']).describe('Who made it: a caller or the operator'),
  created_at: z.int().nullable().describe('Unix seconds'),
  expires_at: z.int().nullable(),
  revoked_at: z.int().nullable(),
});
export type KeyObject = z.infer<typeof keyObject>;

export const keyList = z.object({ object: z.literal('list'), data: z.array(keyObject) });

export const createTokenRequest = z.strictObject({
  origins: origins.describe('Web origins that it is good from'),
  expires_in: integerField(1, TOKEN_TTL_SECONDS_MAX)
    .nullish()
    .describe(`Seconds. Default ${TOKEN_TTL_SECONDS_MAX}`),
  scopes: z
    .array(wordField(['generate', 'read']))
    .min(1)
    .max(2)
    .nullish()
    .describe('Default generate and read, as far as the key has them'),
  generations: integerField(0, TOKEN_GENERATIONS_MAX)
    .nullish()
    .describe('Pictures that may be drawn with it. Default 10'),
  allowed_models: models.nullish().describe('Default: those of the key'),
});
export type CreateTokenRequest = z.infer<typeof createTokenRequest>;

export const tokenObject = z.object({
  object: z.literal('browser_token'),
  token: z.string().describe('Sent as Authorization: Bearer'),
  id: z.string(),
  expires_at: z.int().describe('Unix seconds'),
  origins: z.array(z.string()),
  scopes: z.array(z.enum(SCOPES)),
  generations: z.int(),
});

/** What one key did in one day. */
const dayCounts = {
  requests: z.int().describe('Requests, counted in leases: a few may be missing'),
  generations: z.int().describe('Executions started, exact'),
  completed: z.int(),
  failed: z.int(),
  canceled: z.int(),
  refused: z.int().describe('Executions refused for want of budget'),
  compute_ms: z.int().describe('Milliseconds from start to end of its executions'),
};

export const usageDay = z.object({ date: z.string().describe('YYYY-MM-DD, UTC'), ...dayCounts });
export type UsageDay = z.infer<typeof usageDay>;

export const usageObject = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      object: z.literal('usage'),
      key_id: z.string(),
      name: z.string().nullable(),
      quota: quota.extend({ used: z.int() }).nullable(),
      open_streams: z.int(),
      days: z.array(usageDay),
    }),
  ),
});
export type UsageObject = z.infer<typeof usageObject>;
