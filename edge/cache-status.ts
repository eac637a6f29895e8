/** `Cache-Status` (RFC 9211): how the pictures of one answer were come by, as one cache. */
import type { CacheOutcome } from '#shared/schemas/image.ts';

export function cacheStatus(outcomes: readonly CacheOutcome[], cacheKey: string): string {
  const key = `; key="${cacheKey}"`;
  if (outcomes.every((outcome) => outcome === 'hit')) return `pixart-edge; hit${key}`;
  // An answer is collapsed when it made nobody draw.
  const collapsed = outcomes.every((outcome) => outcome !== 'miss') ? '; collapsed' : '';
  return `pixart-edge; fwd=miss${collapsed}${key}`;
}
