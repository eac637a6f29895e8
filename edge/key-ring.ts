/**
 * The Durable Object that lists the API keys of one account, for people who look: what counts is in the object of each key.
 */
import { DurableObject } from 'cloudflare:workers';
import { API_KEYS_PER_ACCOUNT_MAX } from '#shared/limits.ts';
import type { KeyObject } from '#shared/schemas/api-key.ts';
import type { Env } from './env.ts';

interface Row extends Record<string, SqlStorageValue> {
  json: string;
}

export class KeyRing extends DurableObject<Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.storage.sql.exec(
      `CREATE TABLE IF NOT EXISTS api_key (
         id TEXT PRIMARY KEY, created_at INTEGER NOT NULL, revoked_at INTEGER, json TEXT NOT NULL);`,
    );
  }

  /** Adds a key or replaces what is said of it. False: there are too many that are not revoked. */
  put(key: KeyObject): boolean {
    const { sql } = this.ctx.storage;
    const isKnown = sql.exec('SELECT 1 FROM api_key WHERE id = ?', key.id).toArray().length > 0;
    const [row] = sql.exec<{ count: number }>('SELECT count(*) AS count FROM api_key').toArray();
    if (!isKnown && (row?.count ?? 0) >= API_KEYS_PER_ACCOUNT_MAX) {
      const removed = sql.exec(
        `DELETE FROM api_key WHERE id IN (SELECT id FROM api_key WHERE revoked_at IS NOT NULL
                                          ORDER BY revoked_at LIMIT 1) RETURNING id`,
      );
      if (removed.toArray().length === 0) return false;
    }
    sql.exec(
      'INSERT OR REPLACE INTO api_key (id, created_at, revoked_at, json) VALUES (?, ?, ?, ?)',
      key.id,
      key.created_at ?? 0,
      key.revoked_at,
      JSON.stringify(key),
    );
    return true;
  }

  /** The newest first. */
  list(): KeyObject[] {
    const rows = this.ctx.storage.sql.exec<Row>(
      'SELECT json FROM api_key ORDER BY created_at DESC, id',
    );
    return [...rows].map(({ json }) => JSON.parse(json) as KeyObject);
  }
}
