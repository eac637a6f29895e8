/**
 * What a job object remembers through eviction and crash: its order, its state, its events.
 *
 * Picture bytes never get here; a row holds at most a preview.
 */
import { encodeSseEvent } from '#shared/sse.ts';
import type { JobEvent, JobSpec } from './job-protocol.ts';

export type JobState = 'running' | 'completed' | 'failed';

export interface JobRow {
  readonly spec: JobSpec;
  readonly state: JobState;
  readonly tries: number;
}

/** Events of one execution: previews of each step and the end. */
const EVENTS_MAX = 128;

export class JobLog {
  readonly #storage: DurableObjectStorage;
  #ready = false;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** Writes nothing: most objects are asked once, refused or started, and have no log. */
  read(): JobRow | undefined {
    if (!this.#hasTables()) return undefined;
    const [row] = this.#sql<{ spec: string; state: JobState; tries: number }>(
      'SELECT spec, state, tries FROM job WHERE id = 1',
    );
    return row === undefined
      ? undefined
      : { spec: JSON.parse(row.spec) as JobSpec, state: row.state, tries: row.tries };
  }

  /** Begins an execution: whatever was before is forgotten. */
  begin(spec: JobSpec, tries: number): void {
    this.#sql('DELETE FROM event');
    this.#sql(
      "INSERT OR REPLACE INTO job (id, spec, state, tries) VALUES (1, ?, 'running', ?)",
      JSON.stringify(spec),
      tries,
    );
  }

  append(seq: number, event: JobEvent): void {
    if (seq > EVENTS_MAX && event.type === 'preview') return;
    const { type, ...data } = event;
    const frame = encodeSseEvent({ event: type, id: String(seq), data: JSON.stringify(data) });
    this.#sql('INSERT OR REPLACE INTO event (seq, frame) VALUES (?, ?)', seq, frame);
  }

  end(state: 'completed' | 'failed'): void {
    this.#sql('UPDATE job SET state = ? WHERE id = 1', state);
  }

  /** Forgets everything, and leaves nothing to pay for. */
  async clear(): Promise<void> {
    this.#ready = false;
    await this.#storage.deleteAlarm();
    await this.#storage.deleteAll();
  }

  /** Encoded events after `from`, in order. */
  framesAfter(from: number): string[] {
    const rows = this.#sql<{ frame: string }>(
      'SELECT frame FROM event WHERE seq > ? ORDER BY seq',
      from,
    );
    return rows.map(({ frame }) => frame);
  }

  #hasTables(): boolean {
    if (this.#ready) return true;
    const query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'job'";
    return this.#storage.sql.exec(query).toArray().length > 0;
  }

  #sql<T extends Record<string, SqlStorageValue>>(query: string, ...values: unknown[]): T[] {
    if (!this.#ready) {
      this.#storage.sql.exec(
        `CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, frame TEXT NOT NULL);
         CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY CHECK (id = 1), spec TEXT NOT NULL,
                                         state TEXT NOT NULL, tries INTEGER NOT NULL);`,
      );
      this.#ready = true;
    }
    return this.#storage.sql.exec<T>(query, ...values).toArray();
  }
}
