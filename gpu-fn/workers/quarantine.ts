/**
 * Requests that kill whoever draws them: after two deaths of a worker over the same input it is refused for ten minutes, so that
 * a repeated request does not take one worker after another with it.
 */
import { createHash } from 'node:crypto';
import { ServiceError } from '#shared/errors.ts';
import type { InferenceJob } from './engine.ts';

const DEATHS_MAX = 2;
const TERM_MS = 600_000;
/** The oldest are forgotten first: a flood of deadly requests is met by the pool, which gives up. */
const INPUTS_MAX = 256;

interface Suspect {
  deaths: number;
  untilMs: number;
}

export class Quarantine {
  /** By digest of the input; insertion order is order of expiry. */
  readonly #suspects = new Map<string, Suspect>();
  readonly #now: () => number;

  constructor({ now }: { readonly now: () => number }) {
    this.#now = now;
  }

  /** @throws {ServiceError} `request_quarantined` */
  check(job: InferenceJob): void {
    // Nearly always: then nothing is hashed.
    if (this.#suspects.size === 0) return;
    const suspect = this.#suspects.get(digestOf(job));
    if (suspect === undefined || suspect.deaths < DEATHS_MAX) return;
    const restMs = suspect.untilMs - this.#now();
    if (restMs <= 0) return;
    throw new ServiceError('request_quarantined', {
      detail: `This request has stopped the model server ${suspect.deaths} times and is refused for now.`,
    });
  }

  /** A worker has died while it drew this. */
  countDeath(job: InferenceJob): void {
    const nowMs = this.#now();
    const digest = digestOf(job);
    const deaths = (this.#suspects.get(digest)?.deaths ?? 0) + 1;
    this.#suspects.delete(digest);
    for (const [old, { untilMs }] of this.#suspects) {
      if (untilMs > nowMs && this.#suspects.size < INPUTS_MAX) break;
      this.#suspects.delete(old);
    }
    this.#suspects.set(digest, { deaths, untilMs: nowMs + TERM_MS });
  }
}

/** Of all that decides the picture; how many previews are wanted does not. */
function digestOf({ input }: InferenceJob): string {
  return createHash('sha256').update(JSON.stringify(input)).digest('hex');
}
