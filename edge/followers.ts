/**
 * The readers of one execution: each gets every frame, none can hold it up.
 *
 * A reader that does not read is dropped once `BACKLOG_BYTES_MAX` wait for it. While there are readers a comment goes out
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

interface Member extends Follower {
  readonly controller: ReadableByteStreamController;
}

export class Followers {
  readonly #members = new Set<Member>();
  readonly #onEmpty: () => void;
  readonly #heartbeat = new TextEncoder().encode(encodeSseComment('keep-alive'));
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param onEmpty  called when the last one has left by itself */
  constructor({ onEmpty }: { onEmpty: () => void }) {
    this.#onEmpty = onEmpty;
  }

  get size(): number {
    return this.#members.size;
  }

  get isFull(): boolean {
    return this.#members.size >= FOLLOWERS_MAX;
  }

  /** A stream that begins with `backlog` and goes on with what is sent from now on. */
  add(follower: Follower, backlog: readonly Uint8Array[]): ReadableStream<Uint8Array> {
    let member: Member | undefined;
    return new ReadableStream({
      type: 'bytes',
      start: (controller) => {
        member = { ...follower, controller: controller as ReadableByteStreamController };
        this.#members.add(member);
        // The comment makes the runtime send the head at once.
        for (const frame of [this.#heartbeat, ...backlog]) member.controller.enqueue(frame.slice());
        this.#timer ??= setInterval(() => this.send(this.#heartbeat), HEARTBEAT_MS);
      },
      cancel: () => {
        if (member !== undefined) this.#leave(member);
      },
    });
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
      if ((member.controller.desiredSize ?? 0) < -BACKLOG_BYTES_MAX) {
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
    clearInterval(this.#timer ?? null);
    this.#timer = undefined;
  }
}
