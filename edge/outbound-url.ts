/**
 * Which URLs of callers may be called at all, judged by their parsed form and never by their text.
 *
 * Only https on its own port, to a name with a dot that is not an address and not of a private zone. What a name resolves to is
 * checked by whoever connects: the platform's fetch reaches only public addresses, the function's guarded fetch connects to
 * the very address that it has checked.
 */
import { ServiceError } from '#shared/errors.ts';

export interface OutboundOptions {
  /** Field that the URL came in. */
  readonly param: string;
  /** `any` is for development: http and private addresses too. */
  readonly targets: 'public' | 'any';
  /** Our own origin, which is never called. */
  readonly ownOrigin: string;
}

const PRIVATE_NAME =
  /(?:^|\.)(?:localhost|local|internal|intranet|private|home|lan|corp|arpa|onion|test|invalid)$/;

/**
 * @returns the URL in its canonical spelling
 * @throws {ServiceError} `url_forbidden`
 */
export function checkOutboundUrl(text: string, options: OutboundOptions): string {
  const { param, targets, ownOrigin } = options;
  const forbid = (reason: string) =>
    new ServiceError('url_forbidden', { param, detail: `${param} is refused: ${reason}.` });
  // The parser would drop or rewrite these; what is asked for must be what is called.
  if (!/^[\x21-\x7e]+$/.test(text) || text.includes('\\')) {
    throw forbid('it has white space, back-slashes or characters that must be encoded');
  }
  if (!/^https?:\/\/[^/]/i.test(text) || !URL.canParse(text)) throw forbid('it is no absolute URL');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') throw forbid('it has credentials');
  if (url.hash !== '') throw forbid('it has a fragment');
  if (targets === 'any') return url.href;
  if (url.protocol !== 'https:') throw forbid('only https is called');
  if (url.port !== '') throw forbid('only port 443 is called');
  // The parser has turned every spelling of an IPv4 address into four numbers; a dot at the end it keeps.
  const host = url.hostname.replace(/\.$/, '');
  if (host.startsWith('[') || /^[\d.]+$/.test(host))
    throw forbid('it names an address, not a host');
  if (!host.includes('.') || PRIVATE_NAME.test(host)) throw forbid('its host is private');
  if (host === new URL(ownOrigin).hostname) throw forbid('it is our own host');
  return url.href;
}
