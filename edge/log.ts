/** JSON lines out. Prompts, keys and queries never get here: callers hand over ids, codes and figures. */

export type LogLevel = 'debug' | 'info' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields, cause?: unknown): void;
}

const RANK = { debug: 0, info: 1, error: 2, silent: 3 } as const;
/** Longest text of one field. */
const FIELD_LENGTH_MAX = 4096;

/** @param event  `noun.verb` */
export function createLog(
  level: LogLevel | 'silent',
  { write = defaultWrite }: { write?: (line: string, level: LogLevel) => void } = {},
): Log {
  const line = (at: LogLevel, event: string, fields: LogFields = {}) => {
    if (RANK[at] >= RANK[level]) {
      write(JSON.stringify({ level: at, event, service: 'edge', ...fields }, shorten), at);
    }
  };
  return {
    debug: (event, fields) => line('debug', event, fields),
    info: (event, fields) => line('info', event, fields),
    error: (event, fields, cause) =>
      line('error', event, cause === undefined ? fields : { ...fields, ...describeError(cause) }),
  };
}

function describeError(cause: unknown): LogFields {
  if (!(cause instanceof Error)) return { error: String(cause) };
  const causes = [];
  for (
    let next: unknown = cause.cause;
    next instanceof Error && causes.length < 4;
    next = next.cause
  ) {
    causes.push(`${next.name}: ${next.message}`);
  }
  return {
    error: `${cause.name}: ${cause.message}`,
    stack: cause.stack,
    ...(causes.length > 0 && { causes }),
  };
}

function shorten(_name: string, value: unknown): unknown {
  return typeof value === 'string' && value.length > FIELD_LENGTH_MAX
    ? `${value.slice(0, FIELD_LENGTH_MAX)}…`
    : value;
}

function defaultWrite(line: string, level: LogLevel): void {
  if (level === 'error') console.error(line);
  else console.log(line);
}
