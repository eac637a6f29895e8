/** Streams for fal's client: unnamed records of JSON. The last one is the end; there is no event that says so. */
import type { Context } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { MEDIA_TYPES } from '#shared/headers.ts';
import { encodeSseComment, encodeSseEvent } from '#shared/sse.ts';
import { accountOf } from '../../account-of.ts';
import type { PredictionRecord } from '../../account-protocol.ts';
import type { AppEnv, Deps } from '../../app-env.ts';
import { toByteStream } from '../../byte-stream.ts';
import { toFalResult } from '../../fal-result.ts';
import { readPredictionEvents } from '../../prediction-events.ts';
import { toLogs, toStatus } from './status.ts';

/** Previews as results whose pictures are data URIs, then the result. */
export function resultStream(c: Context<AppEnv>, deps: Deps, record: PredictionRecord): Response {
  return respond(c, async function* (signal) {
    for await (const event of readPredictionEvents(deps.accounts, record, signal)) {
      if (event.type === 'heartbeat') yield encodeSseComment('keep-alive');
      else if (event.type === 'preview')
        yield toRecord({ images: [{ url: event.image }], is_preview: true });
      else if (event.type === 'end') {
        const ended = await readAgain(c, deps, record);
        if (ended.status === 'succeeded') {
          yield toRecord(toFalResult(ended));
          return;
        }
        const detail = ended.error ?? 'The request was canceled.';
        yield toRecord({ error: { message: detail, code: ended.code }, detail });
        // The client knows no event for it: a stream that breaks is what it reports.
        throw new ServiceError(ended.code ?? 'upstream_lost', { detail });
      }
    }
    throw new ServiceError('upstream_lost');
  });
}

/** State after state until `COMPLETED`; each has the lines of the log that came since the one before. */
export function statusStream(
  c: Context<AppEnv>,
  deps: Deps,
  { record, logs }: { readonly record: PredictionRecord; readonly logs: boolean },
): Response {
  return respond(c, async function* (signal) {
    if (record.completedMs === null) yield toRecord(toStatus({ ...record, logs: '' }, logs));
    for await (const event of readPredictionEvents(deps.accounts, record, signal)) {
      if (event.type === 'heartbeat') yield encodeSseComment('keep-alive');
      else if (event.type === 'logs' && logs) {
        const lines = toLogs(event.text, deps.now());
        yield toRecord({ request_id: record.id, status: 'IN_PROGRESS', logs: lines });
      } else if (event.type === 'end') {
        const ended = await readAgain(c, deps, record);
        const seen = record.completedMs === null ? { ...ended, logs: '' } : ended;
        yield toRecord(toStatus(seen, logs));
        return;
      }
    }
    throw new ServiceError('upstream_lost');
  });
}

function respond(
  c: Context<AppEnv>,
  frames: (signal: AbortSignal) => AsyncGenerator<string, void, undefined>,
): Response {
  const controller = new AbortController();
  const stream = toByteStream(frames(controller.signal), () => controller.abort());
  return c.body(stream, 200, {
    'Content-Type': `${MEDIA_TYPES.eventStream}; charset=utf-8`,
    'Cache-Control': 'no-store, no-transform',
    'X-Accel-Buffering': 'no',
  });
}

async function readAgain(
  c: Context<AppEnv>,
  deps: Deps,
  record: PredictionRecord,
): Promise<PredictionRecord> {
  const { account } = await accountOf(c, deps);
  return (await account.awaitPrediction(record.id, 1000)) ?? record;
}

function toRecord(data: unknown): string {
  return encodeSseEvent({ data: JSON.stringify(data) });
}
