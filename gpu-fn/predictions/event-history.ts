/**
 * The events of one prediction, kept so that a subscriber may join late or read slowly.
 *
 * Subscribers pull: each holds only a position, so a reader that takes its time costs no memory of its own.
 * The oldest events are dropped beyond the capacity; whoever still needed them is told how many.
 */

export interface StreamEvent {
  /** A constant of ours, never caller text. */
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export type NextEvent =
  | { readonly type: 'event'; readonly event: StreamEvent; readonly position: number }
  | { readonly type: 'lost'; readonly skippedCount: number }
  | { readonly type: 'end' };

export class EventHistory {
  readonly #capacity: number;
  #events: StreamEvent[] = [];
  #droppedCount = 0;
  #ended = false;
  #news = Promise.withResolvers<void>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  append(event: StreamEvent): void {
    if (this.#ended) throw new Error(`event ${event.name} after the terminal one`);
    this.#events.push(event);
    if (this.#events.length > this.#capacity) {
      this.#events.shift();
      this.#droppedCount += 1;
    }
    this.#notify();
  }

  /** Nothing follows: the terminal event is the last one. */
  end(): void {
    this.#ended = true;
    this.#notify();
  }

  /** The event at `position` (from 0), if it has happened; `undefined` when it is still to come. */
  peek(position: number): NextEvent | undefined {
    if (position < this.#droppedCount) {
      return { type: 'lost', skippedCount: this.#droppedCount - position };
    }
    const event = this.#events[position - this.#droppedCount];
    if (event) return { type: 'event', event, position };
    return this.#ended ? { type: 'end' } : undefined;
  }

  /** Settles at the next change. */
  get news(): Promise<void> {
    return this.#news.promise;
  }

  #notify(): void {
    const { resolve } = this.#news;
    this.#news = Promise.withResolvers<void>();
    resolve();
  }
}
