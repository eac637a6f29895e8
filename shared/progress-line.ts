/**
 * Progress of a prediction as a line of its logs, in the shape of Python's tqdm.
 *
 * Replicate's client reads the percentage out of such lines.
 */

export interface Progress {
  /** Steps that are done, from 1, of `total`. */
  readonly done: number;
  readonly total: number;
}

const BAR_WIDTH = 10;
const LINE_PATTERN = /^\s*\d{1,3}%\|.+\|\s*(\d{1,6})\/(\d{1,6})\b/;

/** ` 50%|█████     | 2/4 [00:01<00:01]` and a line end. */
export function progressLine(progress: Progress & { readonly elapsedMs: number }): string {
  const { done, total, elapsedMs } = progress;
  const percent = String(Math.round((100 * done) / total)).padStart(3);
  const filled = Math.round((BAR_WIDTH * done) / total);
  const bar = '█'.repeat(filled).padEnd(BAR_WIDTH);
  const left = (elapsedMs / done) * (total - done);
  return `${percent}%|${bar}| ${done}/${total} [${clock(elapsedMs)}<${clock(left)}]\n`;
}

/** What such a line says, or undefined for any other text. */
export function parseProgressLine(line: string): Progress | undefined {
  const [, done, total] = LINE_PATTERN.exec(line) ?? [];
  const progress = { done: Number(done), total: Number(total) };
  return progress.done >= 1 && progress.done <= progress.total ? progress : undefined;
}

function clock(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}`;
}
