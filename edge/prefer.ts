/** `Prefer` (RFC 7240) and `Cancel-After`: how long a caller waits, and how long it wants the work to go on. */
import { ServiceError } from '#shared/errors.ts';
import { HEADERS } from '#shared/headers.ts';
import { JOB_DEADLINE_MS_MAX, JOB_DEADLINE_MS_MIN } from '#shared/limits.ts';

export interface Preference {
  /** Milliseconds to wait for the end; 0: none. */
  readonly waitMs: number;
  readonly respondAsync: boolean;
}

const WAIT_SECONDS_MAX = 60;
const DURATION_PATTERN = /^(?:(\d{1,5})|(?=\d)(?:(\d{1,3})h)?(?:(\d{1,4})m)?(?:(\d{1,5})s)?)$/;

/** What cannot be read is no preference, as the RFC wants it. */
export function parsePrefer(header: string | undefined): Preference {
  const parts = (header ?? '')
    .toLowerCase()
    .split(/[,;]/)
    .map((part) => part.trim());
  const [, seconds] =
    parts.map((part) => /^wait(?:=(\d{1,6}(?:\.\d+)?))?$/.exec(part)).find(Boolean) ?? [];
  const waits = parts.some((part) => part === 'wait' || part.startsWith('wait='));
  const wanted = seconds === undefined ? WAIT_SECONDS_MAX : Math.ceil(Number(seconds));
  return {
    waitMs: waits ? Math.min(Math.max(wanted, 1), WAIT_SECONDS_MAX) * 1000 : 0,
    respondAsync: parts.includes('respond-async'),
  };
}

/**
 * Milliseconds of `90`, `90s`, `1m30s` or `2h`, at most what one job may take; null when absent.
 *
 * @throws {ServiceError} `invalid_header`
 */
export function parseCancelAfter(header: string | undefined): number | null {
  if (header === undefined) return null;
  const parts = DURATION_PATTERN.exec(header.trim());
  const [, plain, hours, minutes, seconds] = (parts ?? []).map((part) => Number(part ?? 0));
  const ms = ((plain ?? 0) + (hours ?? 0) * 3600 + (minutes ?? 0) * 60 + (seconds ?? 0)) * 1000;
  if (parts === null || ms < JOB_DEADLINE_MS_MIN) {
    throw new ServiceError('invalid_header', {
      param: HEADERS.cancelAfter,
      detail: `Cancel-After must be a duration such as 90, 90s or 1m30s, at least ${JOB_DEADLINE_MS_MIN / 1000} s.`,
    });
  }
  return Math.min(ms, JOB_DEADLINE_MS_MAX);
}
