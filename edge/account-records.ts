/**
 * What an account object remembers: rows of SQLite, each with a bound and an end.
 *
 *     prediction   record as JSON, and the specs that draw it while it runs
 *     file         uploaded files without their bytes
 *     deployment   names for models
 *     delivery     webhooks that have to be sent again
 *     setting      the webhook secrets
 */
import type {
  DeploymentRecord,
  FileRecord,
  PredictionQuery,
  PredictionRecord,
} from './account-protocol.ts';
import type { JobSpec } from './job-protocol.ts';

/** What a prediction needs to be drawn, should its object be lost. */
export interface Restart {
  readonly specs: readonly JobSpec[];
  readonly tries: number;
}

export interface Delivery {
  /** Header `webhook-id`: the same each time. */
  readonly id: string;
  readonly predictionId: string;
  readonly attempts: number;
  readonly dueMs: number;
}

type Row = Record<string, SqlStorageValue>;

const PREDICTIONS_MAX = 10_000;
const FILES_MAX = 1000;
const DEPLOYMENTS_MAX = 100;
const DELIVERIES_MAX = 1000;
/** A row may have 2 MB; a prediction whose specs are larger is not begun again. */
const SPECS_LENGTH_MAX = 1_500_000;

export class AccountRecords {
  readonly #storage: DurableObjectStorage;
  #ready = false;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** Writes a new prediction; the oldest makes room. */
  insertPrediction(record: PredictionRecord, specs: readonly JobSpec[]): void {
    const text = JSON.stringify(specs);
    this.#write(
      'INSERT INTO prediction (id, created, running, tries, record, specs) VALUES (?, ?, ?, 1, ?, ?)',
      record.id,
      record.createdMs,
      record.completedMs === null ? 1 : 0,
      JSON.stringify(record),
      record.completedMs === null && text.length <= SPECS_LENGTH_MAX ? text : null,
    );
    this.#write(
      `DELETE FROM prediction WHERE running = 0 AND id IN
         (SELECT id FROM prediction ORDER BY created DESC, id DESC LIMIT -1 OFFSET ?)`,
      PREDICTIONS_MAX,
    );
  }

  /** Writes how a prediction has ended. */
  endPrediction(record: PredictionRecord): void {
    this.#write(
      'UPDATE prediction SET running = 0, specs = NULL, record = ? WHERE id = ?',
      JSON.stringify(record),
      record.id,
    );
  }

  countTry(id: string): void {
    this.#write('UPDATE prediction SET tries = tries + 1 WHERE id = ?', id);
  }

  prediction(id: string): PredictionRecord | undefined {
    return this.#records<PredictionRecord>('SELECT record FROM prediction WHERE id = ?', id)[0];
  }

  /** Newest first. */
  predictions({
    before,
    createdAfterMs,
    createdBeforeMs,
    limit,
  }: PredictionQuery): PredictionRecord[] {
    const [beforeMs, beforeId] = before ?? [Number.MAX_SAFE_INTEGER, ''];
    return this.#records<PredictionRecord>(
      `SELECT record FROM prediction WHERE (created, id) < (?, ?) AND created >= ? AND created < ?
         ORDER BY created DESC, id DESC LIMIT ?`,
      beforeMs,
      beforeId,
      createdAfterMs ?? 0,
      createdBeforeMs ?? Number.MAX_SAFE_INTEGER,
      limit,
    );
  }

  /** Predictions that were running when they were last written. */
  unfinished(): { record: PredictionRecord; restart: Restart | undefined }[] {
    return this.#read<{ record: string; specs: string | null; tries: number }>(
      'SELECT record, specs, tries FROM prediction WHERE running = 1',
    ).map(({ record, specs, tries }) => ({
      record: JSON.parse(record) as PredictionRecord,
      restart: specs === null ? undefined : { specs: JSON.parse(specs) as JobSpec[], tries },
    }));
  }

  /** @returns false when there are too many */
  insertFile(record: FileRecord): boolean {
    if (this.#count('file') >= FILES_MAX) return false;
    this.#write(
      'INSERT INTO file (id, expires, record) VALUES (?, ?, ?)',
      record.id,
      record.expiresMs,
      JSON.stringify(record),
    );
    return true;
  }

  file(id: string, nowMs: number): FileRecord | undefined {
    return this.#records<FileRecord>(
      'SELECT record FROM file WHERE id = ? AND expires > ?',
      id,
      nowMs,
    )[0];
  }

  /** Newest first. */
  files(nowMs: number): FileRecord[] {
    return this.#records<FileRecord>(
      'SELECT record FROM file WHERE expires > ? ORDER BY expires DESC, id',
      nowMs,
    );
  }

  deleteFile(id: string): void {
    this.#write('DELETE FROM file WHERE id = ?', id);
  }

  /** @returns false when there are too many */
  putDeployment(record: DeploymentRecord): boolean {
    if (this.deployment(record.name) === undefined && this.#count('deployment') >= DEPLOYMENTS_MAX)
      return false;
    this.#write(
      'INSERT OR REPLACE INTO deployment (name, record) VALUES (?, ?)',
      record.name,
      JSON.stringify(record),
    );
    return true;
  }

  deployment(name: string): DeploymentRecord | undefined {
    return this.#records<DeploymentRecord>('SELECT record FROM deployment WHERE name = ?', name)[0];
  }

  deployments(): DeploymentRecord[] {
    return this.#records<DeploymentRecord>('SELECT record FROM deployment ORDER BY name');
  }

  deleteDeployment(name: string): boolean {
    const existed = this.deployment(name) !== undefined;
    if (existed) this.#write('DELETE FROM deployment WHERE name = ?', name);
    return existed;
  }

  /** @returns false when there are too many */
  putDelivery({ id, predictionId, attempts, dueMs }: Delivery): boolean {
    if (attempts === 0 && this.#count('delivery') >= DELIVERIES_MAX) return false;
    this.#write(
      'INSERT OR REPLACE INTO delivery (id, prediction, attempts, due) VALUES (?, ?, ?, ?)',
      id,
      predictionId,
      attempts,
      dueMs,
    );
    return true;
  }

  deleteDelivery(id: string): void {
    this.#write('DELETE FROM delivery WHERE id = ?', id);
  }

  dueDeliveries(nowMs: number, limit: number): Delivery[] {
    return this.#read<{ id: string; prediction: string; attempts: number; due: number }>(
      'SELECT id, prediction, attempts, due FROM delivery WHERE due <= ? ORDER BY due LIMIT ?',
      nowMs,
      limit,
    ).map(({ id, prediction, attempts, due }) => ({
      id,
      predictionId: prediction,
      attempts,
      dueMs: due,
    }));
  }

  setting<T>(name: string): T | undefined {
    const [row] = this.#read<{ value: string }>('SELECT value FROM setting WHERE name = ?', name);
    return row === undefined ? undefined : (JSON.parse(row.value) as T);
  }

  putSetting(name: string, value: unknown): void {
    this.#write(
      'INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)',
      name,
      JSON.stringify(value),
    );
  }

  /** Forgets what has outlived its time. @returns ids of files whose bytes can go */
  forgetExpired({ nowMs, predictionsBeforeMs }: { nowMs: number; predictionsBeforeMs: number }) {
    const files = this.#read<{ id: string }>('SELECT id FROM file WHERE expires <= ?', nowMs);
    if (files.length > 0) this.#write('DELETE FROM file WHERE expires <= ?', nowMs);
    const [old] = this.#read<{ count: number }>(
      'SELECT COUNT(*) AS count FROM prediction WHERE created < ? AND running = 0',
      predictionsBeforeMs,
    );
    if ((old?.count ?? 0) > 0) {
      this.#write('DELETE FROM prediction WHERE created < ? AND running = 0', predictionsBeforeMs);
    }
    return files.map(({ id }) => id);
  }

  /** When something here becomes due, or undefined. */
  nextDueMs({ retentionMs }: { retentionMs: number }): number | undefined {
    const [row] = this.#read<{ due: number | null }>(
      `SELECT MIN(due) AS due FROM (SELECT MIN(due) AS due FROM delivery
         UNION ALL SELECT MIN(expires) FROM file
         UNION ALL SELECT MIN(created) + ? FROM prediction WHERE running = 0)`,
      retentionMs,
    );
    return row?.due ?? undefined;
  }

  #count(table: 'file' | 'deployment' | 'delivery'): number {
    return this.#read<{ count: number }>(`SELECT COUNT(*) AS count FROM ${table}`)[0]?.count ?? 0;
  }

  #records<T>(query: string, ...values: SqlStorageValue[]): T[] {
    return this.#read<{ record: string }>(query, ...values).map(
      ({ record }) => JSON.parse(record) as T,
    );
  }

  /** Reads without making tables: an object that is asked for what nobody ever wrote leaves nothing behind. */
  #read<T extends Row>(query: string, ...values: SqlStorageValue[]): T[] {
    if (!this.#ready) {
      const known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'prediction'";
      if (this.#storage.sql.exec(known).toArray().length === 0) return [];
      this.#ready = true;
    }
    return this.#storage.sql.exec<T>(query, ...values).toArray();
  }

  #write(query: string, ...values: SqlStorageValue[]): void {
    if (!this.#ready) {
      this.#storage.sql.exec(
        `CREATE TABLE IF NOT EXISTS prediction (
           id TEXT PRIMARY KEY, created INTEGER NOT NULL, running INTEGER NOT NULL,
           tries INTEGER NOT NULL, record TEXT NOT NULL, specs TEXT);
         CREATE INDEX IF NOT EXISTS prediction_created ON prediction (created, id);
         CREATE INDEX IF NOT EXISTS prediction_running ON prediction (running) WHERE running = 1;
         CREATE TABLE IF NOT EXISTS file (
           id TEXT PRIMARY KEY, expires INTEGER NOT NULL, record TEXT NOT NULL);
         CREATE TABLE IF NOT EXISTS deployment (name TEXT PRIMARY KEY, record TEXT NOT NULL);
         CREATE TABLE IF NOT EXISTS delivery (
           id TEXT PRIMARY KEY, prediction TEXT NOT NULL, attempts INTEGER NOT NULL,
           due INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);`,
      );
      this.#ready = true;
    }
    this.#storage.sql.exec(query, ...values);
  }
}
