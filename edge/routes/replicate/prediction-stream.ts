/**
 * `GET /v1/files/{token}`: the stream of a prediction, for whoever has its token.
 *
 * Replicate's client reads file objects from a stream only below this path, and sends no key there.
 */
import type { Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS, MEDIA_TYPES } from '#shared/headers.ts';
import { type PredictionRecord, STREAM_QUERY } from '../../account-protocol.ts';
import type { AppEnv, Deps } from '../../app-env.ts';
import { toPredictionObject } from '../../prediction-object.ts';
import { parseStreamToken } from '../../stream-token.ts';

export function predictionStream(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const token = c.req.param('token') ?? '';
    const parsed = parseStreamToken(token);
    if (parsed === undefined) throw notFound();
    const wantsEvents = (c.req.header('Accept') ?? '').includes(MEDIA_TYPES.eventStream);
    const url = new URL('https://account/');
    url.searchParams.set(STREAM_QUERY.id, parsed.id);
    url.searchParams.set(STREAM_QUERY.token, token);
    url.searchParams.set(
      STREAM_QUERY.from,
      String(parseEventId(c.req.header(HEADERS.lastEventId))),
    );
    const response = await deps.accounts.getByName(parsed.owner).fetch(
      new Request(url, {
        headers: { Accept: wantsEvents ? MEDIA_TYPES.eventStream : MEDIA_TYPES.json },
        signal: c.req.raw.signal,
      }),
    );
    if (!response.ok) throw notFound();
    if (!wantsEvents) {
      const record = (await response.json()) as PredictionRecord;
      return c.json(toPredictionObject(record), 200, { 'Cache-Control': 'no-store' });
    }
    return new Response(response.body, {
      headers: {
        'Content-Type': `${MEDIA_TYPES.eventStream}; charset=utf-8`,
        'Cache-Control': 'no-store, no-transform',
        'X-Accel-Buffering': 'no',
      },
    });
  };
}

/** `{Unix seconds}:{number}`, or the number alone; 0 for anything else: then everything is sent. */
function parseEventId(header: string | undefined): number {
  const [, number] = /^(?:\d{1,12}:)?(\d{1,6})$/.exec(header ?? '') ?? [];
  return Number(number ?? 0);
}

function notFound(): ServiceError {
  return new ServiceError('not_found', { detail: 'There is no such stream.' });
}
