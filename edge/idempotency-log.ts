/**
 * What became of the requests that callers gave a name, in the storage of their key's object.
 *
 * A name is new, running or finished. Whoever runs it says so once a second; a name of which nothing has been heard for
 * `RUN_LEASE_MS` is taken over by the next who asks. Its salt stays: all that is drawn at random comes out of it, so a second
 * attempt draws the same picture.
 */
import {
  IDEMPOTENCY_BYTES_MAX,
  IDEMPOTENCY_ENTRIES_MAX,
  IDEMPOTENCY_TTL_MS,
} from '#shared/limits.ts';

export const RUN_LEASE_MS = 5000;
const PRUNE_EVERY = 64;

/** An answer as it is kept: its pictures are left out and known by their digests. */
export interface KeptResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export type Begun =
  /** The asker runs it. */
  | { readonly state: 'new'; readonly salt: string }
  | { readonly state: 'running'; readonly salt: string }
  | { readonly state: 'finished'; readonly salt: string; readonly response: KeptResponse }
  /** The name belongs to another request. */
  | { readonly state: 'mismatch' };

interface Row extends Record<string, SqlStorageValue> {
  fingerprint: string;
  salt: string;
  state: 'running' | 'finished' | 'free';
  at_ms: number;
  response: string;
}

export class IdempotencyLog {
  readonly #storage: DurableObjectStorage;
  /** Until when each running name is held. */
  readonly #leases = new Map<string, number>();
  readonly #waiters = new Map<string, Set<() => void>>();
  #ready = false;
  #begun = 0;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  begin(
    name: string,
    request: { readonly fingerprint: string; readonly salt: string; readonly nowMs: number },
  ): Begun {
    const { fingerprint, nowMs } = request;
    const row = this.#row(name, nowMs);
    if (row !== undefined && row.state !== 'free') {
      if (row.fingerprint !== fingerprint) return { state: 'mismatch' };
      const { salt } = row;
      if (row.state === 'finished') {
        return { state: 'finished', salt, response: JSON.parse(row.response) as KeptResponse };
      }
      // After a restart nobody knows how long it has been silent: it gets one more lease.
      const untilMs = this.#leases.get(name) ?? nowMs + RUN_LEASE_MS;
      this.#leases.set(name, untilMs);
      if (untilMs > nowMs) return { state: 'running', salt };
    }
    const salt = row?.fingerprint === fingerprint ? row.salt : request.salt;
    this.#leases.set(name, nowMs + RUN_LEASE_MS);
    this.#sql(
      `INSERT OR REPLACE INTO idempotency (name, fingerprint, salt, state, at_ms, response, bytes)
       VALUES (?, ?, ?, 'running', ?, '', 0)`,
      name,
      fingerprint,
      salt,
      nowMs,
    );
    this.#prune(nowMs);
    return { state: 'new', salt };
  }

  /** It still runs. */
  renew(name: string, nowMs: number): void {
    if (this.#leases.has(name)) this.#leases.set(name, nowMs + RUN_LEASE_MS);
  }

  /** It has ended: with an answer to keep, or with none. */
  finish(name: string, response: KeptResponse | undefined): void {
    this.#leases.delete(name);
    const text = response === undefined ? '' : JSON.stringify(response);
    this.#sql(
      "UPDATE idempotency SET state = ?, response = ?, bytes = ? WHERE name = ? AND state = 'running'",
      response === undefined ? 'free' : 'finished',
      text,
      text.length,
      name,
    );
    for (const wake of this.#waiters.get(name) ?? []) wake();
  }

  /** Resolves when the name has ended, or after `waitMs`. */
  async wait(name: string, waitMs: number): Promise<void> {
    if (!this.#leases.has(name)) return;
    const waiters = this.#waiters.get(name) ?? new Set();
    this.#waiters.set(name, waiters);
    let wake = () => {};
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      wake = resolve;
      waiters.add(wake);
      timer = setTimeout(resolve, waitMs);
    });
    if (timer !== undefined) clearTimeout(timer);
    waiters.delete(wake);
    if (waiters.size === 0) this.#waiters.delete(name);
  }

  /** When the oldest entry has to go, in Unix milliseconds; undefined when there is none. */
  nextExpiryMs(): number | undefined {
    if (!this.#hasTable()) return undefined;
    const [row] = this.#sql<{ at_ms: number | null }>(
      'SELECT min(at_ms) AS at_ms FROM idempotency',
    );
    return typeof row?.at_ms === 'number' ? row.at_ms + IDEMPOTENCY_TTL_MS : undefined;
  }

  /** Forgets what is older than a day. */
  expire(nowMs: number): void {
    if (!this.#hasTable()) return;
    this.#sql('DELETE FROM idempotency WHERE at_ms <= ?', nowMs - IDEMPOTENCY_TTL_MS);
    for (const [name, untilMs] of this.#leases) {
      if (untilMs <= nowMs) this.#leases.delete(name);
    }
  }

  #row(name: string, nowMs: number): Row | undefined {
    const [row] = this.#sql<Row>(
      'SELECT fingerprint, salt, state, at_ms, response FROM idempotency WHERE name = ? AND at_ms > ?',
      name,
      nowMs - IDEMPOTENCY_TTL_MS,
    );
    return row;
  }

  /** The oldest that do not run make room. Counted now and then: a table may be a little over its bounds. */
  #prune(nowMs: number): void {
    this.#begun += 1;
    if (this.#begun % PRUNE_EVERY !== 1) return;
    for (;;) {
      const [sum] = this.#sql<{ count: number; bytes: number }>(
        'SELECT count(*) AS count, coalesce(sum(bytes), 0) AS bytes FROM idempotency',
      );
      const { count = 0, bytes = 0 } = sum ?? {};
      if (count <= IDEMPOTENCY_ENTRIES_MAX && bytes <= IDEMPOTENCY_BYTES_MAX) return;
      const removed = this.#sql(
        `DELETE FROM idempotency WHERE name IN
           (SELECT name FROM idempotency WHERE state <> 'running' OR at_ms <= ?
            ORDER BY at_ms LIMIT 100) RETURNING name`,
        nowMs - IDEMPOTENCY_TTL_MS,
      );
      if (removed.length === 0) return;
    }
  }

  #hasTable(): boolean {
    if (this.#ready) return true;
    const query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'idempotency'";
    return this.#storage.sql.exec(query).toArray().length > 0;
  }

  #sql<T extends Record<string, SqlStorageValue>>(query: string, ...values: unknown[]): T[] {
    if (!this.#ready) {
      this.#storage.sql.exec(
        `CREATE TABLE IF NOT EXISTS idempotency (
           name TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, salt TEXT NOT NULL, state TEXT NOT NULL,
           at_ms INTEGER NOT NULL, response TEXT NOT NULL, bytes INTEGER NOT NULL);
         CREATE INDEX IF NOT EXISTS idempotency_by_age ON idempotency (at_ms);`,
      );
      this.#ready = true;
    }
    return this.#storage.sql.exec<T>(query, ...values).toArray();
  }
}
