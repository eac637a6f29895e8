/** Body of a webhook: the prediction, in the shape that whoever asked for it knows. */
import type { PredictionRecord } from './account-protocol.ts';
import { toFalResult } from './fal-result.ts';
import { toPredictionObject } from './prediction-object.ts';

export function toWebhookBody(record: PredictionRecord): string {
  if (record.webhook?.form !== 'fal') return JSON.stringify(toPredictionObject(record));
  const isOk = record.status === 'succeeded';
  return JSON.stringify({
    request_id: record.id,
    gateway_request_id: record.id,
    status: isOk ? 'OK' : 'ERROR',
    ...(isOk ? {} : { error: record.error ?? 'The request was canceled.' }),
    payload: isOk ? toFalResult(record) : { detail: record.error ?? 'The request was canceled.' },
  });
}
