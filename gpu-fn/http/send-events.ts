/**
 * Writes the history of a prediction to one reader as server-sent events.
 *
 * Backpressure: nothing is written while the socket is full, the position in the history waits instead.
 */
import type { ServerResponse } from 'node:http';
import { MEDIA_TYPES } from '#shared/headers.ts';
import { encodeSseComment, encodeSseEvent } from '#shared/sse.ts';
import type { EventHistory } from '../predictions/event-history.ts';

export interface SendEventsOptions {
  readonly history: EventHistory;
  /** Other Cog clients see the plain protocol, so `preview` events are for those who asked. */
  readonly withPreviews: boolean;
  readonly heartbeatMs: number;
  /** A reader that takes nothing for so long is cut off. */
  readonly stallMs: number;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * How it ended: the terminal event was handed over, events were lost before they could be sent, the reader
 * went away, or it took nothing for too long.
 */
export type SendOutcome = 'completed' | 'lost' | 'left' | 'stalled';

/** Settles when nothing more will be written; never rejects. */
export async function sendEvents(
  outgoing: ServerResponse,
  { history, withPreviews, heartbeatMs, stallMs, headers }: SendEventsOptions,
): Promise<SendOutcome> {
  outgoing.writeHead(200, {
    ...headers,
    'Content-Type': MEDIA_TYPES.eventStream,
    'Cache-Control': 'no-cache, no-store, no-transform',
    'X-Accel-Buffering': 'no',
  });
  const reader = new Reader(outgoing, stallMs);
  // At once, so that a departed reader is noticed even while the prediction waits.
  let ok = await reader.write(encodeSseComment('connected'));
  let position = 0;
  while (ok) {
    const next = history.peek(position);
    if (next === undefined) {
      const news = await reader.wait(history.news, heartbeatMs);
      if (news === 'timeout') ok = await reader.write(encodeSseComment('keep-alive'));
      continue;
    }
    if (next.type === 'end') return (await reader.end()) ? 'completed' : reader.failure;
    if (next.type === 'lost') {
      const error = 'SSE stream replay truncated; events were dropped';
      const data = JSON.stringify({ error, skipped: next.skippedCount });
      await reader.write(encodeSseEvent({ event: 'error', data }));
      return (await reader.end()) ? 'lost' : reader.failure;
    }
    position += 1;
    const { name, data } = next.event;
    if (name === 'preview' && !withPreviews) continue;
    ok = await reader.write(encodeSseEvent({ event: name, data: JSON.stringify(data) }));
  }
  return reader.failure;
}

/** The socket's side: writes that wait until there is room, and an end to waiting. */
class Reader {
  readonly #outgoing: ServerResponse;
  readonly #stallMs: number;
  readonly #closed: Promise<void>;
  #isClosed = false;
  #stalled = false;

  constructor(outgoing: ServerResponse, stallMs: number) {
    this.#outgoing = outgoing;
    this.#stallMs = stallMs;
    this.#isClosed = outgoing.destroyed || outgoing.closed;
    this.#closed = this.#isClosed
      ? Promise.resolve()
      : new Promise((resolve) => {
          outgoing.once('close', () => {
            this.#isClosed = true;
            resolve();
          });
        });
    outgoing.on('error', () => undefined); // `close` follows, which is what counts
  }

  get failure(): 'left' | 'stalled' {
    return this.#stalled ? 'stalled' : 'left';
  }

  /** @returns false when the reader is gone or was cut off */
  async write(text: string): Promise<boolean> {
    if (this.#isClosed) return false;
    if (this.#outgoing.write(text)) return true;
    return this.#flushed(new Promise((resolve) => this.#outgoing.once('drain', resolve)));
  }

  /** @returns false when the last bytes could not be handed over */
  async end(): Promise<boolean> {
    if (this.#isClosed) return false;
    return this.#flushed(new Promise((resolve) => this.#outgoing.end(() => resolve(undefined))));
  }

  /** Waits for `event`, the reader's departure, or so long. */
  async wait(event: Promise<void>, timeoutMs: number): Promise<'event' | 'timeout'> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<'timeout'>((resolve) => {
      timer = setTimeout(() => resolve('timeout'), timeoutMs);
    });
    const outcome = await Promise.race([event, this.#closed, timeout]);
    clearTimeout(timer);
    // A departure is answered by the write that follows.
    return outcome === 'timeout' || this.#isClosed ? 'timeout' : 'event';
  }

  async #flushed(done: Promise<unknown>): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const stall = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.#stalled = true;
        this.#outgoing.destroy();
        resolve();
      }, this.#stallMs);
    });
    await Promise.race([done, this.#closed, stall]);
    clearTimeout(timer);
    return !this.#stalled && (!this.#isClosed || this.#outgoing.writableFinished);
  }
}
