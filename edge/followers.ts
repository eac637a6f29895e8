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
  /** Bytes handed to its stream, and how many of them it had read when that was last looked at. */
  sent: number;
  read: number;
  /** When it last read anything, or had nothing to read. */
  progressMs: number;
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
          sent: 0,
          read: 0,
          progressMs: this.#now(),
        };
        this.#members.add(member);
        // The comment makes the runtime send the head at once.
        for (const frame of [this.#heartbeat, ...backlog]) enqueue(member, frame);
        this.#timer ??= setInterval(() => this.send(this.#heartbeat), HEARTBEAT_MS);
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
      const waiting = -(member.controller.desiredSize ?? 0);
      const read = member.sent - waiting;
      if (waiting <= 0 || read > member.read) member.progressMs = this.#now();
      member.read = read;
      enqueue(member, frame);
      const isStalled = this.#now() - member.progressMs > STALL_MS_MAX;
      if (isStalled || waiting + frame.length > BACKLOG_BYTES_MAX) {
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

/** Byte streams take the buffer away, so each reader gets its own. */
function enqueue(member: Member, frame: Uint8Array): void {
  member.controller.enqueue(frame.slice());
  member.sent += frame.length;
}
