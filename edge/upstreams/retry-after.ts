/** `Retry-After` as upstreams send it: seconds or a date, sane or not. */

/** Longest wait that a caller is told: clients ignore longer ones. */
export const RETRY_AFTER_MS_MAX = 60_000;

/**
 * Milliseconds to wait, at most a minute; undefined when the value says nothing usable (negative, past, not a date).
 *
 * @see RFC 9110, §10.2.3
 */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,12}$/.test(value)) return Math.min(Number(value) * 1000, RETRY_AFTER_MS_MAX);
  // Only the date of RFC 9110: the parser would take "-1" for a year.
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(value)) {
    return undefined;
  }
  const waitMs = Date.parse(value) - nowMs;
  return Number.isNaN(waitMs) || waitMs <= 0 ? undefined : Math.min(waitMs, RETRY_AFTER_MS_MAX);
}
