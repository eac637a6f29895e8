/**
 * Places for the open streams of one key, pure.
 *
 * Whoever holds a place says so once a second; a place of which nothing has been heard for `SLOT_LEASE_MS` is free again, so
 * that an isolate that dies takes none with it.
 */

/** Five renewals may be late. */
export const SLOT_LEASE_MS = 5000;

interface Slot {
  untilMs: number;
  /** Browser token that opened the stream. */
  readonly token: string | undefined;
}

export interface SlotWish {
  /** Of the stream. */
  readonly id: string;
  readonly countMax: number;
  readonly token?: { readonly id: string; readonly countMax: number } | undefined;
}

export class StreamSlots {
  readonly #slots = new Map<string, Slot>();

  /** Open streams. */
  count(nowMs: number): number {
    this.#expire(nowMs);
    return this.#slots.size;
  }

  /** Takes a place, or holds on to the one that this stream has. False: all are taken. */
  hold({ id, countMax, token }: SlotWish, nowMs: number): boolean {
    this.#expire(nowMs);
    const slot = this.#slots.get(id);
    if (slot !== undefined) {
      slot.untilMs = nowMs + SLOT_LEASE_MS;
      return true;
    }
    if (this.#slots.size >= countMax) return false;
    if (token !== undefined && this.#countOf(token.id) >= token.countMax) return false;
    this.#slots.set(id, { untilMs: nowMs + SLOT_LEASE_MS, token: token?.id });
    return true;
  }

  release(id: string): void {
    this.#slots.delete(id);
  }

  #countOf(token: string): number {
    return [...this.#slots.values()].filter((slot) => slot.token === token).length;
  }

  #expire(nowMs: number): void {
    for (const [id, { untilMs }] of this.#slots) {
      if (untilMs <= nowMs) this.#slots.delete(id);
    }
  }
}
