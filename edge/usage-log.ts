/**
 * What one key did, by day, pure. Days are those of UTC; the oldest are forgotten after `USAGE_DAYS_MAX`.
 */
import { USAGE_DAYS_MAX } from '#shared/limits.ts';
import type { QuotaPeriod, UsageDay } from '#shared/schemas/api-key.ts';

export type UsageCounts = Omit<UsageDay, 'date'>;

/** What is kept: days by their date, and the generations since the key was made. */
export interface UsageState {
  readonly total: number;
  readonly days: readonly UsageDay[];
}

const NOTHING: UsageCounts = {
  requests: 0,
  generations: 0,
  completed: 0,
  failed: 0,
  canceled: 0,
  refused: 0,
  compute_ms: 0,
};

export class UsageLog {
  #total: number;
  /** In order of their dates. */
  #days: UsageDay[];

  constructor(state: UsageState | undefined) {
    this.#total = state?.total ?? 0;
    this.#days = [...(state?.days ?? [])];
  }

  get state(): UsageState {
    return { total: this.#total, days: this.#days };
  }

  add(counts: Partial<UsageCounts>, nowMs: number): void {
    const date = dateOf(nowMs);
    const last = this.#days.at(-1);
    // A clock that runs backwards counts on the day it came from.
    const day = last !== undefined && last.date >= date ? last : { date, ...NOTHING };
    const sum = { ...day };
    for (const name of Object.keys(NOTHING) as (keyof UsageCounts)[]) {
      sum[name] += counts[name] ?? 0;
    }
    this.#total += counts.generations ?? 0;
    this.#days = [...this.#days.filter((it) => it !== day), sum].slice(-USAGE_DAYS_MAX);
  }

  /** Generations in the period that `nowMs` lies in. */
  generations(period: QuotaPeriod, nowMs: number): number {
    if (period === 'total') return this.#total;
    const prefix = dateOf(nowMs).slice(0, period === 'day' ? 10 : 7);
    return this.#days
      .filter(({ date }) => date.startsWith(prefix))
      .reduce((sum, { generations }) => sum + generations, 0);
  }
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
