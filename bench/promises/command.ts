/**
 * What the commands of the promises share: options, a seed that is printed, one line of figures, an exit code.
 *
 *     --json        the report as JSON and nothing else
 *     --seed N      the same choices again; absent: a new seed, printed
 *     --small       the form that the tests run
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

export interface Report {
  /** Whether the promise was kept. */
  readonly kept: boolean;
  /** Figures by name. */
  readonly figures: Readonly<Record<string, number | string>>;
  /** What broke it, a few of them. */
  readonly findings: readonly string[];
}

export interface CommandOptions {
  readonly seed: number;
  readonly small: boolean;
  /** Told what is being done, when nobody reads JSON. */
  readonly progress: (text: string) => void;
}

export async function runCommand(
  promise: string,
  measure: (options: CommandOptions) => Promise<Report>,
): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      small: { type: 'boolean', default: false },
      seed: { type: 'string' },
    },
  });
  const seed = values.seed === undefined ? randomInt(2 ** 32) : Number(values.seed);
  const progress = (text: string) => {
    if (!values.json) process.stderr.write(`${text}\n`);
  };
  const startedMs = performance.now();
  const report = await measure({ seed, small: values.small, progress });
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ promise, seed, seconds, ...report })}\n`);
  } else {
    for (const [name, value] of Object.entries(report.figures)) console.log(`${name}: ${value}`);
    for (const finding of report.findings) console.log(`broken: ${finding}`);
    console.log(`${promise}: ${report.kept ? 'kept' : 'broken'} (seed ${seed}, ${seconds} s)`);
  }
  process.exitCode = report.kept ? 0 : 1;
}

/** Uniform numbers in [0, 1) from a seed: mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The value below which a share of the sorted values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? 0;
}
