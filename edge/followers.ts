/**
 * The readers of one execution: each gets every frame, none can hold it up.
 *
 * A reader that does not read is dropped once `BACKLOG_BYTES_MAX` wait for it, or anything for `STALL_MS_MAX`. While there are readers a comment goes out
 * each second, since a departed reader is noticed only when something is written to it.
 */
import { HEARTBEAT_MS } from '#shared/limits.ts';
import { encodeSseComment } from '#shared/sse.ts';

export interface Follower {
  /** Whether it gets the picture inside the last frame. */
  readonly inline: boolean;
  /** Last event id that it has: it is spared what it knows, should the events be sent again. */
  readonly from: number;
}

const FOLLOWERS_MAX = 2048;
const BACKLOG_BYTES_MAX = 1_048_576;
const STALL_MS_MAX = 15_000;

interface Member extends Follower {
  readonly controller: ReadableByteStreamController;
  /** When it last asked for more. */
  pulledMs: number;
}

export interface FollowerStream {
  readonly stream: ReadableStream<Uint8Array>;
  /** For a reader that was lost before it got the stream. */
  readonly leave: () => void;
}

export class Followers {
  readonly #members = new Set<Member>();
  readonly #onEmpty: () => void;
  readonly #now: () => number;
  readonly #heartbeat = new TextEncoder().encode(encodeSseComment('keep-alive'));
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param onEmpty  called when the last one has left by itself */
  constructor({ onEmpty, now }: { onEmpty: () => void; now: () => number }) {
    this.#onEmpty = onEmpty;
    this.#now = now;
  }

  get size(): number {
    return this.#members.size;
  }

  get isFull(): boolean {
    return this.#members.size >= FOLLOWERS_MAX;
  }

  /** A stream that begins with `backlog` and goes on with what is sent from now on. */
  add(follower: Follower, backlog: readonly Uint8Array[]): FollowerStream {
    let member: Member | undefined;
    const leave = () => {
      if (member !== undefined) this.#leave(member);
    };
    const stream = new ReadableStream({
      type: 'bytes',
      start: (controller) => {
        member = {
          ...follower,
          controller: controller as ReadableByteStreamController,
          pulledMs: this.#now(),
        };
        this.#members.add(member);
        // The comment makes the runtime send the head at once.
        for (const frame of [this.#heartbeat, ...backlog]) member.controller.enqueue(frame.slice());
        this.#timer ??= setInterval(() => this.send(this.#heartbeat), HEARTBEAT_MS);
      },
      pull: () => {
        if (member !== undefined) member.pulledMs = this.#now();
      },
      cancel: leave,
    });
    return { stream, leave };
  }

  /** @param seq  id of the event; absent for comments */
  send(frame: Uint8Array, seq = Number.POSITIVE_INFINITY): void {
    for (const member of this.#members) {
      if (seq > member.from) this.#write(member, frame);
    }
  }

  /** Sends a last frame to some and closes their streams. */
  finish(frame: Uint8Array, which: (follower: Follower) => boolean = () => true): void {
    for (const member of [...this.#members].filter(which)) {
      this.#write(member, frame);
      if (!this.#members.delete(member)) continue;
      try {
        member.controller.close();
      } catch {
        // It was canceled a moment ago: closed either way.
      }
    }
    this.#rest();
  }

  #write(member: Member, frame: Uint8Array): void {
    try {
      // Byte streams take the buffer away, so each reader gets its own.
      member.controller.enqueue(frame.slice());
      const waiting = -(member.controller.desiredSize ?? 0);
      const stalledMs = waiting > frame.length ? this.#now() - member.pulledMs : 0;
      if (waiting > BACKLOG_BYTES_MAX || stalledMs > STALL_MS_MAX) {
        member.controller.error(new Error('the reader does not read'));
        this.#leave(member);
      }
    } catch {
      // Canceled between two turns of the loop.
      this.#leave(member);
    }
  }

  #leave(member: Member): void {
    if (!this.#members.delete(member)) return;
    this.#rest();
    if (this.#members.size === 0) this.#onEmpty();
  }

  #rest(): void {
    if (this.#members.size > 0) return;
    if (this.#timer !== undefined) clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
