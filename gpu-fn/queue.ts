/**
 * Who may start an inference, and how many may wait: first come, first served, with a bound.
 *
 * Knows nothing about predictions or workers; it hands out `slotCount` permits.
 */

/** A place in the queue; becomes a permit to run when a slot is free. */
export interface Ticket extends Disposable {
  /**
   * Waits for a slot.
   *
   * @throws the signal's reason when it is aborted first; the place is given up then
   */
  permit(signal: AbortSignal): Promise<Permit>;
}

/** The right to occupy one slot until disposed of. */
export interface Permit extends Disposable {
  /** milliseconds between entering the queue and getting the slot */
  readonly waitedMs: number;
}

export interface QueueOptions {
  readonly slotCount: number;
  /** Tickets that may wait beyond those that hold a slot. */
  readonly queueDepthMax: number;
  /** monotonic milliseconds */
  readonly now?: () => number;
}

export class JobQueue {
  readonly slotCount: number;
  readonly queueDepthMax: number;
  readonly #now: () => number;
  readonly #waiting: (() => void)[] = [];
  #entered = 0;
  #running = 0;

  constructor({ slotCount, queueDepthMax, now = () => performance.now() }: QueueOptions) {
    this.slotCount = slotCount;
    this.queueDepthMax = queueDepthMax;
    this.#now = now;
  }

  /** Tickets that hold a slot. */
  get runningCount(): number {
    return this.#running;
  }

  /** Tickets that wait for one. */
  get depth(): number {
    return this.#entered - this.#running;
  }

  /** @returns `undefined` when every slot and every place to wait is taken */
  enter(): Ticket | undefined {
    if (this.#entered >= this.slotCount + this.queueDepthMax) return undefined;
    this.#entered += 1;
    const enteredAt = this.#now();
    let left = false;
    let permit: Permit | undefined;
    const leave = () => {
      if (left) return;
      left = true;
      this.#entered -= 1;
    };
    return {
      permit: async (signal) => {
        signal.throwIfAborted();
        await this.#slot(signal);
        let held = true;
        permit = {
          waitedMs: this.#now() - enteredAt,
          [Symbol.dispose]: () => {
            if (!held) return;
            held = false;
            leave();
            this.#release();
          },
        };
        return permit;
      },
      [Symbol.dispose]: () => {
        permit?.[Symbol.dispose]();
        leave();
      },
    };
  }

  async #slot(signal: AbortSignal): Promise<void> {
    if (this.#running < this.slotCount) {
      this.#running += 1;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = () => {
      const index = this.#waiting.indexOf(resolve);
      // No longer in the list: the slot was handed over in this very turn, and is kept.
      if (index < 0) return;
      this.#waiting.splice(index, 1);
      reject(signal.reason);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    this.#waiting.push(resolve);
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  /** Hands the slot to whoever waits longest, so nobody overtakes. */
  #release(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#running -= 1;
  }
}
