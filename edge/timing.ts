/** Milliseconds by stage, for `Server-Timing`, the log line and the last event of a stream. */
export const STAGES = [
  'auth',
  'limit',
  'cache',
  'queue',
  'load',
  'text',
  'denoise',
  'vae',
  'image',
  'total',
] as const;
export type Stage = (typeof STAGES)[number];

export class StageTimes {
  readonly #now: () => number;
  readonly #startMs: number;
  readonly #ms = new Map<Stage, number>();

  constructor(now: () => number) {
    this.#now = now;
    this.#startMs = now();
  }

  get totalMs(): number {
    return round(this.#now() - this.#startMs);
  }

  set(stage: Stage, ms: number | undefined): void {
    if (ms !== undefined) this.#ms.set(stage, ms);
  }

  /** Measures a piece of work, also when it fails. */
  async measure<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
    const startMs = this.#now();
    try {
      return await work();
    } finally {
      this.set(stage, (this.#ms.get(stage) ?? 0) + this.#now() - startMs);
    }
  }

  toObject(): Partial<Record<Stage, number>> {
    const known = STAGES.filter((stage) => this.#ms.has(stage));
    const times = known.map((stage) => [stage, round(this.#ms.get(stage)!)]);
    return { ...Object.fromEntries(times), total: this.totalMs };
  }

  toHeader(): string {
    return Object.entries(this.toObject())
      .map(([stage, ms]) => `${stage};dur=${ms}`)
      .join(', ');
  }
}

function round(ms: number): number {
  return Math.max(0, Math.round(ms * 10) / 10);
}
