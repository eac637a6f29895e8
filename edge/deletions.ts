/**
 * The Durable Object that tells every isolate which pictures were deleted lately: one object for all.
 *
 * It remembers for as long as a copy may lie in an isolate's memory or a data centre's cache, `COPY_AGE_MS_MAX`. The bucket
 * itself holds the truth; this is for the copies.
 */
import { DurableObject } from 'cloudflare:workers';
import type { Deletion } from './deleted-pictures.ts';
import { COPY_AGE_MS_MAX } from './deleted-pictures.ts';
import type { Env } from './env.ts';

/** What isolates are ready to remember. */
const ROWS_MAX = 20_000;
/** Rows are kept a little longer than copies, whose age is counted by other clocks. */
const KEPT_MS = COPY_AGE_MS_MAX + 60_000;

export class Deletions extends DurableObject<Env> {
  readonly #sql: SqlStorage;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec('CREATE TABLE IF NOT EXISTS deletion (name TEXT PRIMARY KEY, at_ms INTEGER)');
    this.#sql.exec('CREATE INDEX IF NOT EXISTS deletion_at ON deletion (at_ms)');
  }

  /**
   * From now on copies of this picture count for nothing.
   *
   * @returns false when no more can be remembered now: nothing may be deleted then, for some copy would live on
   */
  record(name: string): boolean {
    const nowMs = Date.now();
    this.#sql.exec('DELETE FROM deletion WHERE at_ms < ?', nowMs - KEPT_MS);
    const { count } = this.#sql
      .exec<{ count: number }>('SELECT count(*) AS count FROM deletion')
      .one();
    if (count >= ROWS_MAX) return false;
    this.#sql.exec('INSERT OR REPLACE INTO deletion VALUES (?, ?)', name, nowMs);
    return true;
  }

  /** Deletions since then, oldest first. */
  since(atMs: number): Deletion[] {
    const rows = this.#sql.exec<{ name: string; at_ms: number }>(
      'SELECT name, at_ms FROM deletion WHERE at_ms >= ? ORDER BY at_ms',
      atMs,
    );
    return rows.toArray().map((row) => ({ name: row.name, atMs: row.at_ms }));
  }
}
