/** Conditional and range requests (RFC 9110, §13 and §14) for a file that never changes. */

export interface Validators {
  /** Strong, with its quotes. */
  readonly etag: string;
  readonly lastModifiedMs: number;
}

export interface ByteRange {
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
}

/** Whether the caller has it already. `If-None-Match` comes before `If-Modified-Since`. */
export function isNotModified(headers: Headers, { etag, lastModifiedMs }: Validators): boolean {
  const noneMatch = headers.get('If-None-Match');
  if (noneMatch !== null) {
    return noneMatch
      .split(',')
      .map((tag) => tag.trim().replace(/^W\//, ''))
      .some((tag) => tag === '*' || tag === etag);
  }
  const since = Date.parse(headers.get('If-Modified-Since') ?? '');
  // HTTP dates have whole seconds.
  return !Number.isNaN(since) && Math.floor(lastModifiedMs / 1000) * 1000 <= since;
}

/** Whether `If-Match` asks for another file than this one. */
export function preconditionFails(headers: Headers, etag: string): boolean {
  const match = headers.get('If-Match');
  if (match === null) return false;
  // Strong comparison: a weak tag matches nothing.
  return !match
    .split(',')
    .map((tag) => tag.trim())
    .some((tag) => tag === '*' || tag === etag);
}

/** One range of bytes; undefined: answer with everything, as also for several ranges and units we do not know. */
export function parseRange(
  headers: Headers,
  { size, etag, lastModifiedMs }: Validators & { readonly size: number },
): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(headers.get('Range') ?? '');
  if (match === null) return undefined;
  const ifRange = headers.get('If-Range');
  if (ifRange !== null && ifRange !== etag) {
    const isDate = Date.parse(ifRange) === Math.floor(lastModifiedMs / 1000) * 1000;
    if (!isDate) return undefined;
  }
  const [, from = '', to = ''] = match;
  if (from === '' && to === '') return undefined;
  if (from === '') {
    const length = Math.min(Number(to), size);
    return length === 0 ? 'unsatisfiable' : { first: size - length, last: size - 1 };
  }
  const first = Number(from);
  if (to !== '' && Number(to) < first) return undefined;
  if (first >= size) return 'unsatisfiable';
  return { first, last: to === '' ? size - 1 : Math.min(Number(to), size - 1) };
}
