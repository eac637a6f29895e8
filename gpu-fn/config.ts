/**
 * The function's settings: the environment, read once and frozen.
 *
 * The one place that sees `process.env`. All problems are reported together, each naming its setting.
 * `SETTINGS` is also what `--help` and the table in README.md are printed from.
 */
import * as z from 'zod';
import { parseSigningKeys } from '#shared/signature.ts';

export interface Setting {
  /** Parses the text of the environment variable. */
  readonly schema: z.ZodType<unknown, string>;
  /** What an absent variable means, as text; `undefined` where the setting may stay empty. */
  readonly fallback?: string;
  readonly description: string;
  readonly secret?: true;
}

const integer = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,10}$/, `must be an integer from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be from ${min} to ${max}`);

const flag = z
  .enum(['0', '1', 'false', 'true'], 'must be 0 or 1')
  .transform((value) => value === '1' || value === 'true');

const httpUrl = z.string().refine((text) => {
  const protocol = URL.canParse(text) ? new URL(text).protocol : '';
  return protocol === 'http:' || protocol === 'https:';
}, 'must be an http or https URL');

const signingKey = z.string().superRefine((text, context) => {
  try {
    parseSigningKeys(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    context.addIssue({ code: 'custom', message: `is refused (${error.message})` });
  }
});

export const SETTINGS = {
  PORT: {
    schema: integer(0, 65_535),
    fallback: '5000',
    description: 'TCP port; 0 takes a free one, which the `server.listening` line names.',
  },
  HOST: {
    schema: z.string().min(1),
    description:
      'Address to listen on. Default: `0.0.0.0` with a signing key or `UNSIGNED=1`, else `127.0.0.1`.',
  },
  BUNDLE: {
    schema: z.string().min(1),
    description: 'Folder of the converted model (`npm run convert`). Required.',
  },
  ADAPTERS: {
    schema: z.string().min(1),
    description:
      'Folder of adapters that requests may name: `ID.safetensors`, or PEFT folders. Default: those of the bundle only.',
  },
  THREADS: {
    schema: integer(1, 64),
    fallback: '1',
    description: 'ONNX Runtime threads in each worker.',
  },
  WORKERS: {
    schema: integer(1, 16),
    fallback: '1',
    description: 'Inference threads, each with its own sessions: as many pictures at once.',
  },
  MAX_QUEUE: {
    schema: integer(0, 1024),
    fallback: '8',
    description: 'Predictions that may wait for a worker; 0 refuses as plain Cog does.',
  },
  VARIANTS: {
    schema: integer(1, 16),
    fallback: '2',
    description: 'Variants of stored pictures that are made at the same time.',
  },
  MAX_VARIANT_QUEUE: {
    schema: integer(0, 1024),
    fallback: '32',
    description: 'Variants that may wait; further ones are refused.',
  },
  VARIANT_DEADLINE_MS: {
    schema: integer(100, 60_000),
    fallback: '5000',
    description: 'Longest time for one variant, waiting included.',
  },
  JOB_DEADLINE_MS: {
    schema: integer(100, 300_000),
    fallback: '60000',
    description: 'Longest life of a prediction, waiting included; then its work is stopped.',
  },
  CANCEL_GRACE_MS: {
    schema: integer(10, 300_000),
    fallback: '5000',
    description:
      'A worker that has not stopped so long after a cancellation or deadline is replaced; more than one step of the model.',
  },
  SETUP_TIMEOUT_MS: {
    schema: integer(100, 3_600_000),
    fallback: '300000',
    description: 'Longest time for a worker to load the bundle.',
  },
  DRAIN_DEADLINE_MS: {
    schema: integer(10, 600_000),
    fallback: '25000',
    description: 'After SIGTERM, predictions that run are given so long to finish.',
  },
  GPU_SIGNING_KEY: {
    schema: signingKey,
    description:
      'Key that the edge signs its requests with: `id:secret`, or several separated by commas.',
    secret: true,
  },
  UNSIGNED: {
    schema: flag,
    fallback: '0',
    description: '1 lets a function without a signing key listen beyond loopback.',
  },
  BODY_BYTES_MAX: {
    schema: integer(1024, 104_857_600),
    fallback: String(12 * 1024 * 1024),
    description: 'Largest request body.',
  },
  BODY_DEADLINE_MS: {
    schema: integer(100, 300_000),
    fallback: '10000',
    description: 'Longest time for a request body to arrive.',
  },
  WRITE_STALL_MS: {
    schema: integer(100, 300_000),
    fallback: '15000',
    description: 'A reader that takes nothing for so long loses its connection.',
  },
  HEARTBEAT_MS: {
    schema: integer(10, 60_000),
    fallback: '1000',
    description: 'Pause between the comment lines that keep an event stream alive.',
  },
  STREAM_HISTORY_MAX: {
    schema: integer(1, 65_536),
    fallback: '1024',
    description: 'Events kept for subscribers that join a prediction late.',
  },
  STREAM_SUBSCRIBERS_MAX: {
    schema: integer(1, 1024),
    fallback: '16',
    description: 'Readers of one event stream; one more is refused with 429.',
  },
  CONNECTIONS_MAX: {
    schema: integer(1, 65_536),
    fallback: '1024',
    description: 'Open TCP connections; further ones are closed at once.',
  },
  WEBHOOK_THROTTLE_MS: {
    schema: integer(0, 60_000),
    fallback: '500',
    description: 'Least time between two `start` or `logs` webhooks of one prediction.',
  },
  WEBHOOK_AUTH_TOKEN: {
    schema: z.string().min(1),
    description: 'Sent as `Authorization: Bearer` with every webhook.',
    secret: true,
  },
  UPLOAD_URL: {
    schema: httpUrl,
    description: 'Pictures are PUT below this URL, and `output` holds their URLs, not data URIs.',
  },
  AWAIT_EXPLICIT_SHUTDOWN: {
    schema: flag,
    fallback: '0',
    description: '1 ignores SIGTERM: only `POST /shutdown` or SIGINT ends the function.',
  },
  READY_FILE: {
    schema: z.string().min(1),
    description:
      'Written once the model is loaded, removed at the drain. Default under Kubernetes: `/var/run/cog/ready`.',
  },
  LOG_LEVEL: {
    schema: z.enum(['debug', 'info', 'error', 'silent']),
    fallback: 'info',
    description: 'Least level of log lines: `debug`, `info`, `error` or `silent`.',
  },
} as const satisfies Record<string, Setting>;

/** Where platforms that drive Cog under Kubernetes look. */
const COG_READY_FILE = '/var/run/cog/ready';

export interface Config {
  readonly port: number;
  readonly host: string;
  readonly bundle: string;
  /** folder; absent when only the bundle's adapters are served */
  readonly adapters?: string;
  readonly threads: number;
  readonly workers: number;
  readonly queueDepthMax: number;
  readonly variantsAtOnce: number;
  readonly variantQueueDepthMax: number;
  readonly variantDeadlineMs: number;
  readonly jobDeadlineMs: number;
  readonly cancelGraceMs: number;
  readonly setupTimeoutMs: number;
  readonly drainDeadlineMs: number;
  readonly signingKey: string | undefined;
  readonly bodyBytesMax: number;
  readonly bodyDeadlineMs: number;
  readonly writeStallMs: number;
  readonly heartbeatMs: number;
  readonly streamHistoryMax: number;
  readonly streamSubscribersMax: number;
  readonly connectionsMax: number;
  readonly webhookThrottleMs: number;
  readonly webhookAuthToken: string | undefined;
  readonly uploadUrl: string | undefined;
  readonly awaitExplicitShutdown: boolean;
  readonly logLevel: LogLevel;
  readonly readyFile: string | undefined;
}

export type LogLevel = 'debug' | 'info' | 'error' | 'silent';

/** Settings that do not hold; `message` lists all of them, a line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * @param env  the environment; only the names of `SETTINGS` (and `KUBERNETES_SERVICE_HOST`) are read
 * @throws {ConfigError} naming every setting that is missing or malformed, never a secret's value
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const problems: string[] = [];
  const read = <Name extends keyof typeof SETTINGS>(name: Name) => {
    type Value = z.output<(typeof SETTINGS)[Name]['schema']>;
    const setting: Setting = SETTINGS[name];
    // An empty variable is what compose files and shells leave behind for "not set".
    const text = env[name] || setting.fallback;
    if (text === undefined) return undefined as Value | undefined;
    const parsed = setting.schema.safeParse(text);
    if (parsed.success) return parsed.data as Value;
    const shown = setting.secret ? '[set]' : JSON.stringify(text);
    problems.push(`${name} ${parsed.error.issues[0]?.message ?? 'is malformed'}, not ${shown}`);
    return undefined as Value | undefined;
  };

  const signingKey = read('GPU_SIGNING_KEY');
  const unsigned = read('UNSIGNED') ?? false;
  const open = signingKey !== undefined || unsigned;
  const host = read('HOST') ?? (open ? '0.0.0.0' : '127.0.0.1');
  if (!open && !isLoopback(host)) {
    problems.push(
      `HOST ${host} is reachable from other machines: set GPU_SIGNING_KEY so that requests are ` +
        'verified, or UNSIGNED=1 to accept everybody, or listen on 127.0.0.1',
    );
  }
  const bundle = read('BUNDLE');
  const adapters = read('ADAPTERS');
  if (bundle === undefined) {
    problems.push('BUNDLE must name the folder of a converted model (npm run convert makes one)');
  }
  const config = {
    port: read('PORT')!,
    host,
    bundle: bundle ?? '',
    ...(adapters !== undefined && { adapters }),
    threads: read('THREADS')!,
    workers: read('WORKERS')!,
    queueDepthMax: read('MAX_QUEUE')!,
    variantsAtOnce: read('VARIANTS')!,
    variantQueueDepthMax: read('MAX_VARIANT_QUEUE')!,
    variantDeadlineMs: read('VARIANT_DEADLINE_MS')!,
    jobDeadlineMs: read('JOB_DEADLINE_MS')!,
    cancelGraceMs: read('CANCEL_GRACE_MS')!,
    setupTimeoutMs: read('SETUP_TIMEOUT_MS')!,
    drainDeadlineMs: read('DRAIN_DEADLINE_MS')!,
    signingKey,
    bodyBytesMax: read('BODY_BYTES_MAX')!,
    bodyDeadlineMs: read('BODY_DEADLINE_MS')!,
    writeStallMs: read('WRITE_STALL_MS')!,
    heartbeatMs: read('HEARTBEAT_MS')!,
    streamHistoryMax: read('STREAM_HISTORY_MAX')!,
    streamSubscribersMax: read('STREAM_SUBSCRIBERS_MAX')!,
    connectionsMax: read('CONNECTIONS_MAX')!,
    webhookThrottleMs: read('WEBHOOK_THROTTLE_MS')!,
    webhookAuthToken: read('WEBHOOK_AUTH_TOKEN'),
    uploadUrl: read('UPLOAD_URL'),
    awaitExplicitShutdown: read('AWAIT_EXPLICIT_SHUTDOWN')!,
    logLevel: read('LOG_LEVEL')!,
    readyFile: read('READY_FILE') ?? (env.KUBERNETES_SERVICE_HOST ? COG_READY_FILE : undefined),
  } satisfies Config;
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return Object.freeze(config);
}

/** The environment of this process. */
export function processEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/** The settings as `--help` shows them. */
export function describeSettings(): string {
  return settingRows()
    .map(([name, fallback, text]) => `  ${name.padEnd(24)} ${text}${fallback && ` [${fallback}]`}`)
    .join('\n');
}

/** The settings as a Markdown table; a test compares it with the README. */
export function settingsTable(): string {
  const rows = settingRows().map(
    ([name, fallback, text]) => `| \`${name}\` | ${fallback && `\`${fallback}\``} | ${text} |`,
  );
  return ['| Setting | Default | Meaning |', '|---|---|---|', ...rows].join('\n');
}

function settingRows(): [name: string, fallback: string, text: string][] {
  return Object.entries<Setting>(SETTINGS).map(([name, { fallback, description, secret }]) => [
    name,
    fallback ?? '',
    secret ? `${description} Secret.` : description,
  ]);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
