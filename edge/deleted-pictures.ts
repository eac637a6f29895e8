/**
 * What an isolate knows of deletions: which copies in its memory and in the data centre's cache count for nothing.
 *
 * The list is asked for every 2 s behind a request's back, and waited for once it is 10 s old: a deleted picture is gone
 * everywhere within that time. Without the list copies are not trusted; then the bucket answers.
 */
export interface Deletion {
  /** Object name of the original. */
  readonly name: string;
  readonly atMs: number;
}

export interface DeletedPicturesOptions {
  /** Deletions since a moment, oldest first. */
  readonly since: (atMs: number) => Promise<readonly Deletion[]>;
  readonly now: () => number;
}

type WaitUntil = (work: Promise<unknown>) => void;

/** No copy is used for longer. */
export const COPY_AGE_MS_MAX = 3_600_000;
const REFRESH_AGE_MS = 2000;
const TRUSTED_AGE_MS_MAX = 10_000;
/** Clocks of the object's machines before and after a move. */
const OVERLAP_MS = 5000;
/** The list comes from near by or not at all. */
const ANSWER_DEADLINE_MS = 1000;

export class DeletedPictures {
  readonly #options: DeletedPicturesOptions;
  /** Object name → when it was deleted, oldest first. */
  readonly #deleted = new Map<string, number>();
  #askedMs = Number.NEGATIVE_INFINITY;
  #newestMs = 0;
  #refreshing = false;

  constructor(options: DeletedPicturesOptions) {
    this.#options = options;
  }

  /** Whether copies may be used now. */
  async areCopiesUsable(waitUntil: WaitUntil): Promise<boolean> {
    const ageMs = this.#options.now() - this.#askedMs;
    if (ageMs < REFRESH_AGE_MS) return true;
    if (ageMs < TRUSTED_AGE_MS_MAX) {
      if (!this.#refreshing) {
        this.#refreshing = true;
        waitUntil(this.#refresh());
      }
      return true;
    }
    return this.#refresh();
  }

  /** Whether a copy of that picture, stored then, was deleted since. */
  has(name: string, storedMs: number): boolean {
    const deletedMs = this.#deleted.get(name);
    return deletedMs !== undefined && deletedMs >= storedMs;
  }

  /** This isolate deleted it itself. */
  add({ name, atMs }: Deletion): void {
    this.#deleted.delete(name);
    this.#deleted.set(name, atMs);
  }

  async #refresh(): Promise<boolean> {
    const atMs = this.#options.now();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), ANSWER_DEADLINE_MS);
    });
    try {
      const asked = this.#options.since(this.#newestMs - OVERLAP_MS);
      asked.catch(() => undefined);
      const list = await Promise.race([asked, late]);
      if (list === undefined) return false;
      for (const deletion of list) this.add(deletion);
      this.#newestMs = Math.max(this.#newestMs, ...list.slice(-1).map((last) => last.atMs));
      for (const [name, deletedMs] of this.#deleted) {
        if (deletedMs > atMs - COPY_AGE_MS_MAX - OVERLAP_MS) break;
        this.#deleted.delete(name);
      }
      this.#askedMs = Math.max(this.#askedMs, atMs);
      return true;
    } catch {
      // The object is out of reach: copies wait until it is back.
      return false;
    } finally {
      this.#refreshing = false;
      if (timer !== undefined) clearTimeout(timer);
    }
  }
}
