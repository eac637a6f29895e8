/** Which page a request comes from, and whether it may. */
import type { Config } from './config.ts';

type Origins = Pick<Config, 'corsOrigins' | 'publicOrigin'>;

/** Setting that leaves the choice of origins to each key. */
const ANY = '*';

/** Origin under which this service is called. */
export function ownOrigin(url: string, { publicOrigin }: Pick<Origins, 'publicOrigin'>): string {
  return publicOrigin ?? new URL(url).origin;
}

/** Origin of the page that sent this, as far as the browser says; undefined for what no page sent. */
export function callerOrigin(request: Request, config: Origins): string | undefined {
  const origin = request.headers.get('Origin');
  if (origin !== null) return origin;
  // Browsers leave it out where a page reads from its own origin.
  const isOwn = request.headers.get('Sec-Fetch-Site') === 'same-origin';
  return isOwn ? ownOrigin(request.url, config) : undefined;
}

/** Whether the operator knows the origin: pages from there may call with any key. */
export function isListed(origin: string, url: string, config: Origins): boolean {
  return origin === ownOrigin(url, config) || config.corsOrigins.includes(origin);
}

/** Whether a page of this origin may call at all; its key has the last word where `CORS_ORIGINS` has a star. */
export function mayCall(origin: string, url: string, config: Origins): boolean {
  if (isListed(origin, url, config)) return true;
  return (
    config.corsOrigins.includes(ANY) && URL.canParse(origin) && new URL(origin).origin === origin
  );
}
