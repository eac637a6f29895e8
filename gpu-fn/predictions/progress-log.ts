/** Progress lines in `logs`, one for each denoising step. */
import { progressLine } from '#shared/progress-line.ts';
import type { JobEvent } from '../workers/engine.ts';
import type { Prediction } from './prediction.ts';

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
