/**
 * Progress lines in `logs`, one for each denoising step, in the shape of Python's tqdm.
 *
 * Replicate's client reads the percentage out of such lines.
 */
import type { JobEvent } from '../workers/engine.ts';
import type { Prediction } from './prediction.ts';

const BAR_WIDTH = 10;

export class ProgressLog {
  readonly #prediction: Prediction;
  readonly #now: () => number;
  readonly #startedAt: number;

  constructor({ prediction, now }: { prediction: Prediction; now: () => number }) {
    this.#prediction = prediction;
    this.#now = now;
    this.#startedAt = now();
  }

  step({ pictureIndex, stepIndex, stepCount }: JobEvent & { type: 'step' }): void {
    const total = stepCount * this.#prediction.input.num_outputs;
    const done = pictureIndex * stepCount + stepIndex + 1;
    const elapsedMs = this.#now() - this.#startedAt;
    this.#prediction.log(progressLine({ done, total, elapsedMs }));
  }
}

/** ` 50%|█████     | 2/4 [00:01<00:01]` and a line end. */
export function progressLine(progress: { done: number; total: number; elapsedMs: number }): string {
  const { done, total, elapsedMs } = progress;
  const percent = String(Math.round((100 * done) / total)).padStart(3);
  const filled = Math.round((BAR_WIDTH * done) / total);
  const bar = '█'.repeat(filled).padEnd(BAR_WIDTH);
  const left = (elapsedMs / done) * (total - done);
  return `${percent}%|${bar}| ${done}/${total} [${clock(elapsedMs)}<${clock(left)}]\n`;
}

function clock(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}`;
}
