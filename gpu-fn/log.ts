/**
 * Log lines of the function: one JSON object each, on standard output.
 *
 * `event` is `noun.verb`. Prompts, keys and picture bytes are never passed in here.
 */
import type { LogLevel } from './config.ts';

export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  /** @param cause  its stack goes to the log, and nowhere else */
  error(event: string, fields?: LogFields, cause?: unknown): void;
}

const RANK = { debug: 0, info: 1, error: 2, silent: 3 } as const satisfies Record<LogLevel, number>;

/** Longest text that one field may bring into the log. */
const FIELD_CHARS_MAX = 4096;

export function createLog({
  level,
  write = (line) => process.stdout.write(line),
  now = Date.now,
}: {
  level: LogLevel;
  write?: (line: string) => void;
  now?: () => number;
}): Log {
  const emit = (at: Exclude<LogLevel, 'silent'>, event: string, fields: LogFields = {}) => {
    if (RANK[at] < RANK[level]) return;
    const line = { time: new Date(now()).toISOString(), level: at, event, ...fields };
    write(`${JSON.stringify(line, shorten)}\n`);
  };
  return {
    debug: (event, fields) => emit('debug', event, fields),
    info: (event, fields) => emit('info', event, fields),
    error: (event, fields, cause) =>
      emit('error', event, cause === undefined ? fields : { ...fields, error: describe(cause) }),
  };
}

function shorten(_key: string, value: unknown): unknown {
  return typeof value === 'string' && value.length > FIELD_CHARS_MAX
    ? `${value.slice(0, FIELD_CHARS_MAX)}…`
    : value;
}

function describe(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
