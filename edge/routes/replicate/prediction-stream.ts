/**
 * `GET /v1/files/{token}`: the stream of a prediction, for whoever has its token.
 *
 * Replicate's client reads file objects from a stream only below this path, and sends no key there.
 */
import type { Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS, MEDIA_TYPES } from '#shared/headers.ts';
import type { PredictionRecord } from '../../account-protocol.ts';
import type { AppEnv, Deps } from '../../app-env.ts';
import { openPredictionStream } from '../../prediction-events.ts';
import { toPredictionObject } from '../../prediction-object.ts';

export function predictionStream(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const wantsEvents = (c.req.header('Accept') ?? '').includes(MEDIA_TYPES.eventStream);
    const response = await openPredictionStream(deps.accounts, c.req.param('token') ?? '', {
      from: parseEventId(c.req.header(HEADERS.lastEventId)),
      wantsEvents,
      signal: c.req.raw.signal,
    });
    if (response === undefined) {
      throw new ServiceError('not_found', { detail: 'There is no such stream.' });
    }
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
