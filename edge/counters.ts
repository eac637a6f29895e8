/**
 * What one isolate counts: plain sums in memory, handed to the `Metrics` object every `FLUSH_MS`, outside of requests.
 */
import type { Route } from './route-table.ts';

export type Series = Readonly<Record<string, number>>;

const FLUSH_MS = 10_000;
/** Seconds: refusals and hits in the first ones, pictures in the last. */
const BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

const HELP = {
  edge_requests_total: ['counter', 'Requests, by route, method and status'],
  edge_request_duration_seconds: ['histogram', 'Time to the head of the answer, by route'],
  edge_errors_total: ['counter', 'Answers that are errors, by code'],
  edge_pictures_total: ['counter', 'Pictures, by how they were come by: hit, miss, coalesced'],
  edge_series_dropped_total: ['counter', 'Counts without a series of their own'],
} as const;

export interface FinishedRequest {
  readonly route: Route | undefined;
  readonly method: string;
  readonly status: number;
  readonly totalMs: number;
  readonly code?: string | undefined;
  /** Outcomes of its pictures. */
  readonly outcomes: readonly string[];
}

export interface CountersOptions {
  readonly send: (series: Series) => Promise<void>;
  readonly now: () => number;
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

export class Counters {
  readonly #options: CountersOptions;
  #series: Record<string, number> = {};
  #sentMs = Number.NEGATIVE_INFINITY;

  constructor(options: CountersOptions) {
    this.#options = options;
  }

  /** Counts a request that has been answered. */
  count({ route, method, status, totalMs, code, outcomes }: FinishedRequest): void {
    const name = routeName(route);
    // A method that somebody made up is no series of its own.
    const known = METHODS.includes(method) ? method : 'other';
    this.#add('edge_requests_total', { route: name, method: known, status: String(status) });
    const seconds = totalMs / 1000;
    for (const le of [...BUCKETS.filter((bound) => seconds <= bound).map(String), '+Inf']) {
      this.#add('edge_request_duration_seconds_bucket', { route: name, le });
    }
    this.#add('edge_request_duration_seconds_sum', { route: name }, seconds);
    this.#add('edge_request_duration_seconds_count', { route: name });
    if (code !== undefined) this.#add('edge_errors_total', { code });
    for (const outcome of outcomes) this.#add('edge_pictures_total', { outcome });
  }

  /** Hands over what was counted, if that was not done a moment ago. */
  flushIfDue(waitUntil: (work: Promise<unknown>) => void): void {
    if (this.#options.now() - this.#sentMs >= FLUSH_MS) waitUntil(this.flush());
  }

  async flush(): Promise<void> {
    const series = this.#series;
    this.#series = {};
    this.#sentMs = this.#options.now();
    if (Object.keys(series).length === 0) return;
    try {
      await this.#options.send(series);
    } catch {
      // The object is moving: the next time they go along.
      for (const [name, value] of Object.entries(series)) {
        this.#series[name] = (this.#series[name] ?? 0) + value;
      }
    }
  }

  #add(name: string, labels: Readonly<Record<string, string>>, value = 1): void {
    const text = Object.entries(labels)
      .map(([label, of]) => `${label}="${of.replace(/[\\"\n]/g, '_')}"`)
      .join(',');
    const series = `${name}{${text}}`;
    this.#series[series] = (this.#series[series] ?? 0) + value;
  }
}

/** Series in Prometheus' text format. */
export function toText(series: Series): string {
  const lines: string[] = [];
  for (const [name, [type, help]] of Object.entries(HELP)) {
    const own = Object.entries(series).filter(([text]) => {
      const base = text.replace(/\{.*$/s, '');
      return base === name || base.replace(/_(bucket|sum|count)$/, '') === name;
    });
    if (own.length === 0) continue;
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const [text, value] of own) lines.push(`${text} ${value}`);
  }
  return `${lines.join('\n')}\n`;
}

/** The route as it is written in the documents: parts that vary are stars. */
function routeName(route: Route | undefined): string {
  if (route === undefined) return 'other';
  return route.path.source
    .replace(/^\^|\$$/g, '')
    .replaceAll('\\/', '/')
    .replace(/\(\?:(.*?)\)\?/g, '$1')
    .replace(/\[[^\]]*\](?:[+*]|\{[^}]*\})?/g, '*')
    .replaceAll('\\', '');
}
