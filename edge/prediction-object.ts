/** A prediction as callers see it: Replicate's object. */
import { FILE_EXTENSIONS } from '#shared/schemas/image.ts';
import type { PredictionObject } from '#shared/schemas/replicate.ts';
import type { OutputFile, PredictionRecord } from './account-protocol.ts';

export function toPredictionObject(record: PredictionRecord): PredictionObject {
  const { id, origin, webhook, output, deployment, deadlineMs } = record;
  const api = `${origin}/v1/predictions/${id}`;
  return {
    id,
    model: record.model,
    version: record.version,
    ...(deployment !== null && { deployment }),
    input: record.input,
    output: output?.map((file) => urlOf(file, origin)) ?? null,
    logs: record.logs,
    error: record.error,
    code: record.code,
    status: record.status,
    source: 'api',
    data_removed: false,
    created_at: toIso(record.createdMs),
    started_at: toIso(record.startedMs),
    completed_at: toIso(record.completedMs),
    ...(deadlineMs !== null && { deadline: toIso(deadlineMs) }),
    metrics: toMetrics(record),
    ...(webhook !== null && { webhook: webhook.url, webhook_events_filter: [...webhook.events] }),
    ...(output?.[0] !== undefined && { seed: output[0].seed }),
    urls: { get: api, cancel: `${api}/cancel`, stream: streamUrl(record), web: api },
  };
}

/** The answer to a request that did not wait for the end: clients take any other status for the last one. */
export function asStarting(record: PredictionRecord): PredictionObject {
  const body = toPredictionObject(record);
  return record.completedMs === null ? { ...body, status: 'starting' } : body;
}

export function urlOf({ digest, format }: OutputFile, origin: string): string {
  return `${origin}/i/${digest}.${FILE_EXTENSIONS[format]}`;
}

/** Clients read file objects from a stream only below `/v1/files/`. */
function streamUrl({ origin, streamToken }: PredictionRecord): string {
  return `${origin}/v1/files/${streamToken}`;
}

function toMetrics({ createdMs, startedMs, completedMs, output }: PredictionRecord) {
  if (completedMs === null) return {};
  const seconds = (ms: number) => Math.max(0, ms) / 1000;
  return {
    total_time: seconds(completedMs - createdMs),
    ...(startedMs !== null && { predict_time: seconds(completedMs - startedMs) }),
    ...(output !== null && { image_count: output.length }),
  };
}

export function toIso(ms: number): string;
export function toIso(ms: number | null): string | null;
export function toIso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
