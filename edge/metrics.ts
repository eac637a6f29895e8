/**
 * The Durable Object that adds up what all isolates have counted, and its text for Prometheus.
 *
 * A series is its name with its labels, as it is written; everything is a sum. What was added in the last `WRITE_BEHIND_MS` is
 * lost in a crash.
 */
import { DurableObject } from 'cloudflare:workers';
import { type Series, toText } from './counters.ts';
import type { Env } from './env.ts';

const WRITE_BEHIND_MS = 1000;
const SERIES_MAX = 4000;
const DROPPED = 'edge_series_dropped_total';

export class Metrics extends DurableObject<Env> {
  #series: Record<string, number> = {};
  #isDue = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    void ctx.blockConcurrencyWhile(async () => {
      this.#series = (await ctx.storage.get<Record<string, number>>('series')) ?? {};
    });
  }

  add(series: Series): void {
    for (const [name, value] of Object.entries(series)) {
      const isKnown = Object.hasOwn(this.#series, name);
      const kept = isKnown || Object.keys(this.#series).length < SERIES_MAX ? name : DROPPED;
      this.#series[kept] = (this.#series[kept] ?? 0) + value;
    }
    this.#writeBehind();
  }

  text(): string {
    return toText(this.#series);
  }

  #writeBehind(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    const written = new Promise<void>((resolve) => setTimeout(resolve, WRITE_BEHIND_MS)).then(
      () => {
        this.#isDue = false;
        return this.ctx.storage.put('series', this.#series);
      },
    );
    this.ctx.waitUntil(written);
  }
}
