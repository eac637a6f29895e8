/** `Cache-Control` of a request (RFC 9111 §5.2.1), as far as it means something here. */
import type { CacheWish } from './pictures.ts';

export function parseCacheWish(header: string | undefined): CacheWish {
  const directives = new Set(
    (header ?? '')
      .toLowerCase()
      .split(',')
      .map((part) => part.trim()),
  );
  return {
    reload: directives.has('no-cache'),
    noStore: directives.has('no-store'),
    onlyIfCached: directives.has('only-if-cached'),
  };
}
