/** The stream of a prediction as a route reads it from the account object. */
import { MEDIA_TYPES } from '#shared/headers.ts';
import { decodeSse } from '#shared/sse.ts';
import { type AccountNamespace, type PredictionRecord, STREAM_QUERY } from './account-protocol.ts';
import { parseStreamToken } from './stream-token.ts';

export type PredictionEvent =
  | { readonly type: 'heartbeat' }
  /** Data URI of a preview. */
  | { readonly type: 'preview'; readonly image: string }
  | { readonly type: 'logs'; readonly text: string }
  /** It has ended: the record says how. */
  | { readonly type: 'end' };

const RECORD_BYTES_MAX = 1_048_576;

/** The answer of the account object to whoever has the token: events after `from`, or the record as JSON; undefined: no such stream. */
export async function openPredictionStream(
  accounts: AccountNamespace,
  token: string,
  options: { readonly from: number; readonly wantsEvents: boolean; readonly signal: AbortSignal },
): Promise<Response | undefined> {
  const parsed = parseStreamToken(token);
  if (parsed === undefined) return undefined;
  const url = new URL('https://account/');
  url.searchParams.set(STREAM_QUERY.id, parsed.id);
  url.searchParams.set(STREAM_QUERY.token, token);
  url.searchParams.set(STREAM_QUERY.from, String(options.from));
  const response = await accounts.getByName(parsed.owner).fetch(
    new Request(url, {
      headers: { Accept: options.wantsEvents ? MEDIA_TYPES.eventStream : MEDIA_TYPES.json },
      signal: options.signal,
    }),
  );
  return response.ok ? response : undefined;
}

/** Ends after `end`, or without it when the account object is lost. */
export async function* readPredictionEvents(
  accounts: AccountNamespace,
  { streamToken }: PredictionRecord,
  signal: AbortSignal,
): AsyncGenerator<PredictionEvent, void, undefined> {
  const options = { from: 0, wantsEvents: true, signal };
  const response = await openPredictionStream(accounts, streamToken, options);
  if (response?.body == null) return;
  for await (const item of decodeSse(response.body, { bytesMax: RECORD_BYTES_MAX })) {
    if (item.kind === 'comment') yield { type: 'heartbeat' };
    else if (item.event === 'logs') yield { type: 'logs', text: item.data };
    else if (item.event === 'output' && item.data.startsWith('data:')) {
      yield { type: 'preview', image: item.data };
    } else if (item.event === 'done' || item.event === 'error') {
      yield { type: 'end' };
      return;
    }
  }
}
