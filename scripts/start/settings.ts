/** Settings of `npm start`: the environment, read once. All problems are reported together. */
import path from 'node:path';
import * as z from 'zod';
import { SETTINGS as functionSettings } from '../../gpu-fn/config.ts';
import { DEFAULT_CHECKPOINT } from '../default-bundle.ts';
import { edgeSettings } from '../edge-settings.ts';
import { ROOT } from '../node-runtime.js';

const integer = (min: number, max: number, fallback: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, `must be an integer from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be from ${min} to ${max}`)
    .default(fallback);

/** What only `npm start` knows. Everything else is a setting of the Worker or of the function, which gets it as it is. */
export const START_SETTINGS = z.object({
  PORT: integer(0, 65_535, 8787).describe('Port of the service; 0 takes a free one'),
  HOST: z.string().min(1).default('127.0.0.1').describe('Address that the service listens on'),
  CHECKPOINT: z
    .string()
    .min(1)
    .default(DEFAULT_CHECKPOINT)
    .describe('Model in diffusers layout; converted on first use'),
  BUNDLE: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of a converted model, instead of CHECKPOINT'),
  LOCAL_DIR: z
    .string()
    .min(1)
    .default(path.join(ROOT, '.local'))
    .describe('Folder for keys, pictures and converted models'),
  STATE_BYTES_MAX: integer(16 * 2 ** 20, 2 ** 50, 2 * 1024 ** 3).describe(
    'Bytes of state on disk; the oldest pictures are dropped first',
  ),
  LOG_LEVEL: z
    .enum(['debug', 'info', 'error', 'silent'])
    .default('error')
    .describe('Least level of log lines of the Worker and the function'),
});

export interface StartSettings {
  readonly port: number;
  readonly host: string;
  readonly checkpoint: string;
  readonly bundle: string | undefined;
  readonly localDir: string;
  readonly stateBytesMax: number;
  /** Vars for the Worker: those of its settings that the environment has. */
  readonly edge: Readonly<Record<string, string>>;
  /** Environment for the function. */
  readonly gpuFunction: Readonly<Record<string, string>>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The message lists every setting that does not hold. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
}

/** Set by `npm start` itself, whatever the environment says. */
const OWNED = new Set([
  'PORT',
  'HOST',
  'BUNDLE',
  'LOG_LEVEL',
  'GPU_URL',
  'GPU_SIGNING_KEY',
  'MODELS',
]);

/** @throws {SettingsError} */
export function readSettings(environment: Environment): StartSettings {
  // An empty variable is what compose files and shells leave behind for "not set".
  const env = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  ) as Record<string, string>;
  const parsed = START_SETTINGS.safeParse(env);
  if (!parsed.success) {
    const lines = parsed.error.issues.map(
      (issue) =>
        `${issue.path.join('.')} ${issue.message}, not ${JSON.stringify(env[String(issue.path[0])])}`,
    );
    throw new SettingsError(lines.join('\n'));
  }
  const { PORT, HOST, CHECKPOINT, BUNDLE, LOCAL_DIR, STATE_BYTES_MAX, LOG_LEVEL } = parsed.data;
  const passed = (names: readonly string[]) =>
    Object.fromEntries(
      names
        .filter((name) => !OWNED.has(name) && env[name] !== undefined)
        .map((name) => [name, env[name]!]),
    );
  return {
    port: PORT,
    host: HOST,
    checkpoint: path.resolve(CHECKPOINT),
    bundle: BUNDLE === undefined ? undefined : path.resolve(BUNDLE),
    localDir: path.resolve(LOCAL_DIR),
    stateBytesMax: STATE_BYTES_MAX,
    edge: { ...passed(Object.keys(edgeSettings)), LOG_LEVEL },
    gpuFunction: { ...passed(Object.keys(functionSettings)), LOG_LEVEL },
  };
}
