/**
 * Who may have a variant made: a bounded queue in front of few slots, and a deadline that ends waiting and work alike.
 *
 * Apart from the queue of predictions: a picture on a page does not wait for one that is being drawn.
 */
import { ServiceError } from '#shared/errors.ts';
import type { Variant } from '#shared/variant.ts';
import { JobQueue } from '../queue.ts';
import { makeVariant } from './make-variant.ts';

export interface VariantServiceOptions {
  /** Made at the same time. */
  readonly slotCount: number;
  /** Waiting beyond those. */
  readonly queueDepthMax: number;
  /** Longest time for one, waiting included. */
  readonly deadlineMs: number;
}

export class VariantService {
  readonly #queue: JobQueue;
  readonly #deadlineMs: number;

  constructor({ slotCount, queueDepthMax, deadlineMs }: VariantServiceOptions) {
    this.#queue = new JobQueue({ slotCount, queueDepthMax });
    this.#deadlineMs = deadlineMs;
  }

  /**
   * @param signal  aborted when the caller has left: gives up a place in the queue
   * @throws {ServiceError} `overloaded` when the queue is full, `deadline_exceeded`, or what `makeVariant` refuses
   * @throws the signal's reason
   */
  async make(file: Uint8Array, variant: Variant, signal: AbortSignal): Promise<Uint8Array> {
    using ticket = this.#queue.enter();
    if (ticket === undefined) throw new ServiceError('overloaded', { retryAfterMs: 1000 });
    const startedAt = performance.now();
    const late = AbortSignal.timeout(this.#deadlineMs);
    const exceeded = (cause?: unknown) =>
      new ServiceError('deadline_exceeded', { retryAfterMs: 1000, cause });
    try {
      await ticket.permit(AbortSignal.any([signal, late]));
    } catch (error) {
      throw late.aborted ? exceeded(error) : error;
    }
    // The place may have come in the same moment as the end of the time.
    const leftMs = this.#deadlineMs - (performance.now() - startedAt);
    if (leftMs <= 0) throw exceeded();
    // Awaited here: the place is held until the work has ended.
    return await makeVariant(file, variant, { seconds: leftMs / 1000 });
  }
}
