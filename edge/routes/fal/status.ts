/** State of a request in fal's queue. */
import type { PredictionRecord } from '../../account-protocol.ts';

export function toStatus(record: PredictionRecord, withLogs: boolean) {
  const { id, status, startedMs, completedMs, error, code } = record;
  const logs = withLogs ? { logs: toLogs(record.logs, startedMs ?? record.createdMs) } : {};
  if (completedMs !== null) {
    return {
      request_id: id,
      status: 'COMPLETED',
      ...logs,
      metrics: { inference_time: startedMs === null ? 0 : (completedMs - startedMs) / 1000 },
      ...(error !== null && { error, error_type: code }),
    };
  }
  return status === 'starting'
    ? { request_id: id, status: 'IN_QUEUE', queue_position: 0 }
    : { request_id: id, status: 'IN_PROGRESS', ...logs };
}

/** Entries of fal's log, one for each line. */
export function toLogs(text: string, atMs: number) {
  const timestamp = new Date(atMs).toISOString();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((message) => ({ message, level: 'INFO', source: 'USER', timestamp }));
}
