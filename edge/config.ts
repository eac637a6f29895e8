/**
 * Bindings → one validated, frozen Config. All problems are reported in one message.
 *
 * Missing protection fails closed: without keys the Worker refuses to serve, unless someone wrote `AUTH_MODE=none`.
 */
import * as z from 'zod';
import {
  BODY_READ_DEADLINE_MS,
  IDLE_MS_MAX,
  JOB_DEADLINE_MS,
  JOB_DEADLINE_MS_MAX,
  JOB_DEADLINE_MS_MIN,
} from '#shared/limits.ts';
import { type KeyRecord, keyRecord, webOrigin } from '#shared/schemas/api-key.ts';
import { VISIBILITIES } from '#shared/schemas/generate.ts';
import { type ModelInfo, modelInfo } from '#shared/schemas/model.ts';
import { parseSigningKeys, type SigningKey } from '#shared/signature.ts';
import type { Env } from './env.ts';
import { parseWebhookSecrets } from './upstreams/webhook-signature.ts';

const setting = <T extends z.ZodType>(schema: T, description: string) =>
  schema.describe(description);

const integer = (min: number, max: number, fallback: number) =>
  z.coerce.number().int().min(min).max(max).default(fallback);

const json = <T extends z.ZodType>(schema: T) =>
  z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(text) as unknown;
      } catch {
        context.addIssue({ code: 'custom', message: 'is not JSON' });
        return z.NEVER;
      }
    })
    .pipe(schema);

/** One upstream as the operator configures it. */
const upstreamBase = {
  name: z.string().regex(/^[a-z0-9-]{1,32}$/),
  /** Lower ones are asked first. */
  priority: z.int().min(0).max(1000).default(0),
  /** Ids of `MODELS`; absent: all of them. */
  models: z.array(z.string()).min(1).optional(),
};
const cogUpstream = z.strictObject({
  ...upstreamBase,
  url: z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, '')),
  /** Id of the key in `GPU_SIGNING_KEY` that signs; absent: the first. */
  signing_key: z.string().optional(),
});
const replicateUpstream = z.strictObject({
  ...upstreamBase,
  replicate: z.string().regex(/^[a-z0-9._-]+\/[a-z0-9._-]+(?::[0-9a-f]{64})?$/i),
  /** Members of the input to set, or with null to leave out. */
  input: z.record(z.string(), z.json()).default({}),
});
const upstreamList = z
  .array(z.union([cogUpstream, replicateUpstream]))
  .min(1)
  .max(16);
export type UpstreamConfig = z.infer<typeof upstreamList>[number];

const signingKeys = z.string().transform((text, context): SigningKey[] => {
  try {
    return parseSigningKeys(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as RangeError).message });
    return z.NEVER;
  }
});

const DAY_MS = 86_400_000;

export const settings = z.object({
  GPU_URL: setting(
    z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, '')),
    'Base URL of the function',
  ),
  GPU_SIGNING_KEY: setting(
    signingKeys.optional(),
    'Secret. Signs requests to the function: secret or id:secret; the first of several signs',
  ),
  UPSTREAMS: setting(
    json(upstreamList).optional(),
    'JSON array of who draws: {name, url, signing_key} or {name, replicate, input}, each with priority and models; absent is GPU_URL for all',
  ),
  REPLICATE_API_TOKEN: setting(
    z.string().min(1).optional(),
    'Secret. Needed by upstreams on Replicate',
  ),
  REPLICATE_WEBHOOK_SECRET: setting(
    z
      .string()
      .transform((text, context) => {
        try {
          return parseWebhookSecrets(text);
        } catch (error) {
          context.addIssue({ code: 'custom', message: (error as RangeError).message });
          return z.NEVER;
        }
      })
      .optional(),
    'Secret. Verifies webhooks of Replicate, which need PUBLIC_ORIGIN too; several separated by commas. Absent: polling only',
  ),
  REPLICATE_API_URL: setting(
    z
      .url({ protocol: /^https?$/ })
      .default('https://api.replicate.com/v1')
      .transform((url) => url.replace(/\/+$/, '')),
    'Where Replicate’s API is',
  ),
  MODELS: setting(json(z.array(modelInfo).min(1)), 'JSON array of what the function can draw with'),
  DEFAULT_MODEL: setting(z.string().optional(), 'Id of the default model; absent is the first'),
  MODEL_ALIASES: setting(
    z.enum(['on', 'off']).default('on'),
    'Whether dall-e-* and gpt-image-* stand for the default model',
  ),
  AUTH_MODE: setting(z.enum(['keys', 'none']).default('keys'), 'none serves everyone'),
  API_KEYS_BOOTSTRAP: setting(
    json(z.array(keyRecord)).default([]),
    'Secret. JSON array of {id, sha256, account, scopes, rate, burst, …}: keys to begin with, as in POST /v1/keys',
  ),
  GENERATIONS_PER_MINUTE: setting(
    integer(1, 1_000_000, 60),
    'Generations per minute of callers without a key of their own',
  ),
  GENERATIONS_BURST: setting(integer(1, 1_000_000, 10), 'How many of them at once'),
  READS_PER_MINUTE: setting(integer(1, 10_000_000, 1200), 'Requests per minute of one key'),
  PUBLIC_ORIGIN: setting(webOrigin.optional(), 'Origin in absolute URLs; absent is the request’s'),
  WEBHOOK_TARGETS: setting(
    z.enum(['public', 'any']).default('public'),
    'Where webhooks may go: https hosts on the internet, or, for development, anywhere',
  ),
  CORS_ORIGINS: setting(
    z
      .string()
      .default('')
      .transform((text) => text.split(',').map((part) => part.trim()))
      .transform((parts) => parts.filter((part) => part !== ''))
      .pipe(z.array(z.union([z.literal('*'), webOrigin]))),
    'Web origins, separated by commas, whose pages may call the API; * lets each key name its own',
  ),
  CACHE_VISIBILITY_DEFAULT: setting(
    z.enum(VISIBILITIES).default('account'),
    'Who shares cached pictures of requests that do not say',
  ),
  IMAGE_RETENTION_DAYS: setting(
    z.coerce.number().int().min(1).max(36_500).optional(),
    'Days after which a picture is gone; absent keeps it for ever',
  ),
  URL_SIGNING_KEYS: setting(
    signingKeys.optional(),
    'Secret. Signs URLs of private pictures and of prompts: id:secret, several separated by commas; the first signs, all are accepted',
  ),
  CACHE_API: setting(
    z.enum(['on', 'off']).default('on'),
    'Whether the data centre’s cache stands in front of the bucket',
  ),
  JOB_DEADLINE_MS: setting(
    integer(JOB_DEADLINE_MS_MIN, JOB_DEADLINE_MS_MAX, JOB_DEADLINE_MS),
    'Time for one picture',
  ),
  UPSTREAM_IDLE_MS: setting(
    integer(100, 60_000, IDLE_MS_MAX),
    'Silence of the function after which it counts as dead',
  ),
  BODY_DEADLINE_MS: setting(
    integer(100, 60_000, BODY_READ_DEADLINE_MS),
    'Time a caller may take to send a body',
  ),
  PROMPT_BLOCKLIST: setting(
    json(z.array(z.string().min(1).max(200)).max(10_000)).default([]),
    'JSON array of words and phrases; a prompt that holds one is refused. Empty: no policy',
  ),
  LOG_LEVEL: setting(
    z.enum(['debug', 'info', 'error', 'silent']).default('info'),
    'Least level logged',
  ),
});

type Settings = z.infer<typeof settings>;

export interface Config {
  readonly gpuUrl: string;
  readonly signingKey: SigningKey | undefined;
  readonly signingKeys: readonly SigningKey[];
  /** Preferred first. */
  readonly upstreams: readonly UpstreamConfig[];
  readonly replicate: {
    readonly apiUrl: string;
    readonly token: string | undefined;
    readonly webhookSecrets: readonly Uint8Array<ArrayBuffer>[];
  };
  readonly models: readonly ModelInfo[];
  readonly defaultModel: ModelInfo;
  readonly modelAliases: boolean;
  readonly authMode: Settings['AUTH_MODE'];
  readonly bootstrapKeys: readonly KeyRecord[];
  readonly anonymousLimits: { readonly rate: number; readonly burst: number };
  readonly readsPerMinute: number;
  readonly publicOrigin: string | undefined;
  readonly webhookTargets: Settings['WEBHOOK_TARGETS'];
  readonly corsOrigins: readonly string[];
  readonly visibilityDefault: Settings['CACHE_VISIBILITY_DEFAULT'];
  /** Milliseconds that pictures are kept; undefined: for ever. */
  readonly retentionMs: number | undefined;
  /** The first one signs; none: nothing is signed or accepted. */
  readonly urlSigningKeys: readonly SigningKey[];
  readonly cacheApi: boolean;
  readonly jobDeadlineMs: number;
  readonly upstreamIdleMs: number;
  readonly bodyDeadlineMs: number;
  readonly promptBlocklist: readonly string[];
  readonly logLevel: Settings['LOG_LEVEL'];
}

/** The settings do not hold together; the message lists everything that is wrong and repeats no value. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** @throws {ConfigError} */
export function parseConfig(env: Readonly<Record<string, unknown>> | Env): Config {
  const parsed = settings.safeParse(env);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      (issue) => `${issue.path.join('.') || 'settings'}: ${issue.message}`,
    );
    throw new ConfigError(problems.join('; '));
  }
  const values = parsed.data;
  const wanted = values.DEFAULT_MODEL;
  const defaultModel = values.MODELS.find(({ id }) => wanted === undefined || id === wanted);
  if (defaultModel === undefined) throw new ConfigError('DEFAULT_MODEL: is not among MODELS');
  return Object.freeze({
    gpuUrl: values.GPU_URL,
    signingKey: values.GPU_SIGNING_KEY?.[0],
    signingKeys: values.GPU_SIGNING_KEY ?? [],
    upstreams: orderUpstreams(values),
    replicate: {
      apiUrl: values.REPLICATE_API_URL,
      token: values.REPLICATE_API_TOKEN,
      webhookSecrets: values.REPLICATE_WEBHOOK_SECRET ?? [],
    },
    models: values.MODELS,
    defaultModel,
    modelAliases: values.MODEL_ALIASES === 'on',
    authMode: values.AUTH_MODE,
    bootstrapKeys: values.API_KEYS_BOOTSTRAP,
    anonymousLimits: { rate: values.GENERATIONS_PER_MINUTE, burst: values.GENERATIONS_BURST },
    readsPerMinute: values.READS_PER_MINUTE,
    publicOrigin: values.PUBLIC_ORIGIN,
    webhookTargets: values.WEBHOOK_TARGETS,
    corsOrigins: values.CORS_ORIGINS,
    visibilityDefault: values.CACHE_VISIBILITY_DEFAULT,
    retentionMs:
      values.IMAGE_RETENTION_DAYS === undefined ? undefined : values.IMAGE_RETENTION_DAYS * DAY_MS,
    urlSigningKeys: values.URL_SIGNING_KEYS ?? [],
    cacheApi: values.CACHE_API === 'on',
    jobDeadlineMs: values.JOB_DEADLINE_MS,
    upstreamIdleMs: values.UPSTREAM_IDLE_MS,
    bodyDeadlineMs: values.BODY_DEADLINE_MS,
    promptBlocklist: values.PROMPT_BLOCKLIST,
    logLevel: values.LOG_LEVEL,
  });
}

/** @throws {ConfigError} when one names a model, a key or a token that is not there */
function orderUpstreams(values: Settings): readonly UpstreamConfig[] {
  const { UPSTREAMS: list, GPU_URL: url, MODELS: models } = values;
  if (list === undefined) return [{ name: 'function', priority: 0, url }];
  const ids = models.map(({ id }) => id);
  const problems: string[] = [];
  const drawn = new Set(list.flatMap((upstream) => upstream.models ?? ids));
  if (new Set(list.map(({ name }) => name)).size < list.length) problems.push('two have one name');
  for (const id of drawn) if (!ids.includes(id)) problems.push(`${id} is not among MODELS`);
  for (const id of ids) if (!drawn.has(id)) problems.push(`nobody draws ${id}`);
  for (const upstream of list) {
    if ('replicate' in upstream && values.REPLICATE_API_TOKEN === undefined) {
      problems.push(`${upstream.name} needs REPLICATE_API_TOKEN`);
    }
    if ('url' in upstream && upstream.signing_key !== undefined) {
      const isKnown = values.GPU_SIGNING_KEY?.some(({ id }) => id === upstream.signing_key);
      if (!isKnown) problems.push(`GPU_SIGNING_KEY has no ${upstream.signing_key}`);
    }
  }
  if (problems.length > 0) throw new ConfigError(`UPSTREAMS: ${problems.join(', ')}`);
  return list.toSorted((a, b) => a.priority - b.priority);
}

let loaded: { readonly texts: readonly unknown[]; readonly config: Config } | undefined;

/**
 * The Config of an environment, parsed once per isolate: each Durable Object comes with an environment of its own that says
 * the same.
 */
export function loadConfig(env: Env): Config {
  const texts = Object.keys(settings.shape).map((name) => env[name as keyof Env]);
  if (loaded?.texts.every((text, i) => text === texts[i])) {
    return loaded.config;
  }
  loaded = { texts, config: parseConfig(env) };
  return loaded.config;
}
