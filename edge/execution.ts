/**
 * One execution: from a spec to a picture whose digest, size and revision have been checked.
 *
 * Knows nothing of followers, storage or Durable Objects.
 */
import { decodeBase64, parseDataUri } from '#shared/base64.ts';
import { isErrorCode, ServiceError } from '#shared/errors.ts';
import { sha256Hex } from '#shared/hex.ts';
import { PREVIEW_BYTES_MAX } from '#shared/limits.ts';
import { readPictureHeader } from '#shared/picture-header.ts';
import type { Progress } from '#shared/progress-line.ts';
import type { Prediction } from '#shared/schemas/prediction.ts';
import type { JobPreview, JobSpec, PictureEntry, Timings } from './job-protocol.ts';
import type { PredictionNews } from './upstreams/upstream.ts';
import type { Upstreams } from './upstreams/upstreams.ts';

export interface DrawnFile {
  readonly entry: PictureEntry;
  readonly timings: Timings;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly base64: string;
}

export interface ExecuteOptions {
  readonly id: string;
  readonly upstreams: Pick<Upstreams, 'predict'>;
  /** Name of the job object. */
  readonly jobName?: string | undefined;
  readonly news?: PredictionNews | undefined;
  /** Takes work that has to end although nobody waits for it. */
  readonly background: (work: Promise<unknown>) => void;
  /** What is left of the time for the picture. */
  readonly deadlineMs: number;
  readonly now: () => number;
  readonly signal: AbortSignal;
  /** The function has taken it. */
  readonly onAccepted: () => void;
  readonly onPreview: (preview: JobPreview) => void;
  readonly onProgress: (progress: Progress) => void;
}

/** Room for the members of a record beside the picture. */
const RECORD_OVERHEAD_BYTES = 262_144;
/** A preview in base64, with the head of its data URI. */
const PREVIEW_TEXT_MAX = Math.ceil(PREVIEW_BYTES_MAX / 3) * 4 + 64;

/** @throws {ServiceError}, or the reason of `signal` */
export async function execute(spec: JobSpec, options: ExecuteOptions): Promise<DrawnFile> {
  const { upstreams, signal } = options;
  const { width, height } = spec.input;
  const events = upstreams.predict({
    id: options.id,
    model: spec.model,
    jobName: options.jobName,
    news: options.news,
    background: options.background,
    input: spec.input,
    previews: spec.previews,
    requestId: spec.requestId,
    traceparent: spec.traceparent,
    deadlineMs: options.deadlineMs,
    // A file larger than its raw RGBA pixels is no picture of that size; base64 adds a third.
    recordBytesMax: Math.ceil((width * height * 4 * 4) / 3) + RECORD_OVERHEAD_BYTES,
    signal,
  });
  for await (const event of events) {
    if (event.type === 'accepted') options.onAccepted();
    else if (event.type === 'preview') {
      const { step, steps, image } = event;
      if (image.length <= PREVIEW_TEXT_MAX) options.onPreview({ step, steps, image });
    } else if (event.type === 'progress') {
      options.onProgress({ done: event.done, total: event.total });
    } else {
      return check(spec, event.prediction, options.now());
    }
  }
  throw new ServiceError('upstream_lost', { message: 'the events ended without a result' });
}

async function check(spec: JobSpec, prediction: Prediction, nowMs: number): Promise<DrawnFile> {
  if (prediction.status !== 'succeeded') throw toFailure(prediction);
  const [output, ...more] = prediction.output ?? [];
  const uri = output === undefined ? undefined : parseDataUri(output);
  if (uri === undefined || more.length > 0) {
    throw invalid('the result is not one picture as a data URI');
  }
  const bytes = decodePicture(uri.base64);
  const digest = await sha256Hex(bytes);
  const header = readPictureHeader(bytes);
  const { width, height, output_format: format, seed } = spec.input;
  if (header === undefined) throw invalid('the result is no picture');
  if (!header.whole) throw new ServiceError('upstream_truncated', { retryAfterMs: 1000 });

  const promised = prediction.output_sha256?.[0];
  const mismatch =
    (promised !== undefined && promised !== digest && 'digest') ||
    (header.format !== format && `format ${header.format}`) ||
    ((header.width !== width || header.height !== height) &&
      `size ${header.width}x${header.height}`) ||
    (typeof prediction.revision === 'string' &&
      prediction.revision !== spec.revision &&
      'revision') ||
    (typeof prediction.seed === 'number' && prediction.seed !== seed && 'seed');
  if (mismatch) {
    throw new ServiceError('upstream_mismatch', {
      message: `the result differs from what was ordered: ${mismatch}`,
    });
  }
  return {
    entry: {
      digest,
      ...(spec.owner !== undefined && { owner: spec.owner }),
      format,
      bytes: bytes.length,
      width,
      height,
      seed,
      createdMs: nowMs,
      revision: spec.revision,
      promptTokens: prediction.metrics?.prompt_tokens ?? 0,
      warnings: prediction.warnings ?? [],
    },
    timings: toTimings(prediction),
    bytes,
    base64: uri.base64,
  };
}

function decodePicture(base64: string): Uint8Array<ArrayBuffer> {
  try {
    return decodeBase64(base64);
  } catch (cause) {
    throw invalid('the result is not base64', cause);
  }
}

/** What the function reports was written for callers where it carries a code of ours. */
function toFailure({ status, code, error }: Prediction): ServiceError {
  if (status === 'failed' && isErrorCode(code)) {
    return new ServiceError(code, {
      ...(typeof error === 'string' && { detail: error.slice(0, 512) }),
      retryAfterMs: 1000,
    });
  }
  if (status === 'canceled') {
    return new ServiceError('upstream_lost', {
      message: 'canceled by another hand',
      retryAfterMs: 1000,
    });
  }
  return invalid(`the prediction ended as ${status}`);
}

function toTimings({ metrics }: Prediction): Timings {
  const ms = (seconds: number | undefined) =>
    seconds === undefined ? undefined : Math.round(seconds * 10_000) / 10;
  const timings = {
    queue: ms(metrics?.queue_time),
    text: ms(metrics?.text_time),
    denoise: ms(metrics?.denoise_time),
    vae: ms(metrics?.vae_time),
    image: ms(metrics?.image_time),
  };
  return Object.fromEntries(
    Object.entries(timings).filter(([, value]) => value !== undefined),
  ) as Timings;
}

function invalid(message: string, cause?: unknown): ServiceError {
  return new ServiceError('upstream_invalid_response', {
    message,
    ...(cause !== undefined && { cause }),
  });
}
