/**
 * The way from a request to a job object: post an order, read its events to the end.
 *
 * A reader whose object is lost under it comes back once, with the id of the last event it has.
 */
import { isErrorCode, ServiceError } from '#shared/errors.ts';
import type { Progress } from '#shared/progress-line.ts';
import { decodeSse } from '#shared/sse.ts';
import {
  ACCEPTED,
  HEAD_HEADER,
  type JobEvent,
  type JobFailed,
  type JobHead,
  type JobOrder,
  type JobRefusal,
  PROGRESS,
} from './job-protocol.ts';
import type { BucketView } from './token-bucket.ts';

/** The part of a Durable Object namespace that is used. */
export interface JobNamespace {
  getByName(name: string): { fetch(request: Request): Promise<Response> };
}

/** What a reader sees between the head and the end. */
export type JobItem =
  | Exclude<JobEvent, { type: 'failed' }>
  | { readonly type: 'heartbeat' }
  | { readonly type: 'accepted' }
  | ({ readonly type: 'progress' } & Progress);

type JobItems = AsyncGenerator<JobItem, void, undefined>;

export interface OpenJob {
  readonly head: JobHead;
  /** Ends after `completed`; throws the ServiceError of `failed`. */
  readonly items: JobItems;
}

export interface OpenOptions {
  readonly order: JobOrder;
  /** Name of the object: the cache key, or a name of its own for pictures that are shared with nobody. */
  readonly name: string;
  /** Aborted when the reader leaves. */
  readonly signal: AbortSignal;
  /** Told of the budget, also when it was the reason for a refusal. */
  readonly onBudget: (budget: BucketView) => void;
}

const RECORD_BYTES_MAX = 12 * 1024 * 1024;
const ATTEMPTS_MAX = 2;
const ADMISSION_MS = 1000;

/**
 * A leader waits a moment for the function to take its work, so that a refusal can still be answered with a status.
 *
 * @throws {ServiceError} when the order is refused
 */
export async function openJob(jobs: JobNamespace, options: OpenOptions): Promise<OpenJob> {
  const { response, head } = await post(jobs, options, options.order.from);
  const items = read(jobs, options, response);
  return { head, items: head.role === 'leader' ? await admitted(items) : items };
}

/** The same items, once there is one that proves that the work was taken, or after `ADMISSION_MS`. */
async function admitted(items: JobItems): Promise<JobItems> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ADMISSION_MS);
  });
  try {
    for (;;) {
      const next = items.next();
      // A failure that comes after the wait is met by whoever reads on.
      next.catch(() => undefined);
      const result = await Promise.race([next, late]);
      if (result !== undefined && !result.done && result.value.type === 'heartbeat') continue;
      return resume(next, items);
    }
  } finally {
    if (timer !== undefined) clearTimeout(timer);
  }
}

async function* resume(pending: Promise<IteratorResult<JobItem, void>>, items: JobItems): JobItems {
  const first = await pending;
  if (first.done) return;
  yield first.value;
  yield* items;
}

async function* read(jobs: JobNamespace, options: OpenOptions, opened: Response): JobItems {
  let response = opened;
  let lastId = options.order.from;
  for (let attempt = 1; ; attempt += 1) {
    const body = response.body ?? new Blob([]).stream();
    try {
      for await (const item of decodeSse(untilAborted(body, options.signal), {
        bytesMax: RECORD_BYTES_MAX,
      })) {
        if (item.kind === 'comment') {
          yield { type: item.text === ACCEPTED ? 'accepted' : 'heartbeat' };
          continue;
        }
        if (item.event === PROGRESS) {
          yield { type: 'progress', ...(JSON.parse(item.data) as Progress) };
          continue;
        }
        lastId = Number(item.id);
        const event = { type: item.event, ...JSON.parse(item.data) } as JobEvent;
        if (event.type === 'failed') throw toServiceError(event);
        yield event;
        if (event.type === 'completed') return;
      }
    } catch (error) {
      if (error instanceof ServiceError) throw error;
      options.signal.throwIfAborted();
      if (attempt >= ATTEMPTS_MAX) throw lost(error);
    }
    options.signal.throwIfAborted();
    if (attempt >= ATTEMPTS_MAX) throw lost();
    ({ response } = await post(jobs, options, lastId));
  }
}

async function post(
  jobs: JobNamespace,
  { order, name, onBudget, signal }: OpenOptions,
  from: number,
): Promise<{ response: Response; head: JobHead }> {
  const body = JSON.stringify({ ...order, from });
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      // A stub that has failed once keeps failing, so each attempt takes a new one.
      const response = await jobs
        .getByName(name)
        .fetch(new Request('https://job/', { method: 'POST', body }));
      if (response.ok) {
        const head = JSON.parse(response.headers.get(HEAD_HEADER) ?? '') as JobHead;
        if (head.budget !== undefined) onBudget(head.budget);
        return { response, head };
      }
      const refusal = (await response.json()) as JobRefusal;
      if (refusal.budget !== undefined) onBudget(refusal.budget);
      throw toServiceError(refusal.failure);
    } catch (error) {
      if (error instanceof ServiceError) throw error;
      const { overloaded = false } = error as { overloaded?: boolean };
      if (overloaded) throw new ServiceError('overloaded', { retryAfterMs: 1000, cause: error });
      if (attempt >= ATTEMPTS_MAX) throw lost(error);
    }
  }
}

function toServiceError({ code, detail, param, retryAfterMs }: JobFailed): ServiceError {
  return new ServiceError(isErrorCode(code) ? code : 'internal_error', {
    detail,
    ...(param !== undefined && { param }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

function lost(cause?: unknown): ServiceError {
  return new ServiceError('upstream_lost', {
    message: 'the job object was lost',
    retryAfterMs: 1000,
    ...(cause !== undefined && { cause }),
  });
}

/** The same bytes; canceled as soon as the signal is aborted, though a read may be pending. */
function untilAborted(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  const stop = () => void reader.cancel(signal.reason).catch(() => undefined);
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop);
  return new ReadableStream({
    pull: async (controller) => {
      const { done, value } = await reader.read();
      if (!done) {
        controller.enqueue(value);
        return;
      }
      signal.removeEventListener('abort', stop);
      controller.close();
    },
    cancel: () => {
      signal.removeEventListener('abort', stop);
      return reader.cancel();
    },
  });
}
