/**
 * Inference threads: started, fed one job each, replaced when they die, and closed.
 *
 * Implements `Engine`. Queueing is not its business: callers bring at most `slotCount` jobs at once, and a
 * job that arrives while its worker is being replaced waits for it within its own deadline.
 */
import { Worker } from 'node:worker_threads';
import { ServiceError } from '#shared/errors.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import type { Log } from '../log.ts';
import type { Engine, EngineHealth, InferenceJob, JobResult, RunOptions } from './engine.ts';
import type { FromWorker, ToWorker, WorkerData } from './protocol.ts';
import { Quarantine } from './quarantine.ts';

export interface WorkerPoolOptions {
  readonly size: number;
  readonly workerUrl: URL;
  readonly workerData: WorkerData;
  readonly log: Log;
  /** A worker that still runs so long after its job was aborted is terminated. */
  readonly cancelGraceMs: number;
  /** A worker that is not ready after so long has failed to set up. */
  readonly setupTimeoutMs: number;
  readonly onRestart?: () => void;
}

/** A native call cannot be interrupted; a thread that stays in one for so long is given up. */
const TERMINATE_DEADLINE_MS = 10_000;
/** Deaths in a row without a finished job in between before the pool gives up. */
const DEATHS_MAX = 3;
const RESTART_DELAY_MS = 200;

interface RunningJob {
  readonly jobId: number;
  readonly job: InferenceJob;
  readonly onEvent: RunOptions['onEvent'];
  readonly settle: PromiseWithResolvers<JobResult>;
}

interface Slot {
  readonly worker: Worker;
  ready: boolean;
  /** Given to a caller of `run()`, from the moment it is promised until its job has ended. */
  taken: boolean;
  /** Set when the pool itself ends the worker and wants no other in its place. */
  retired: boolean;
  /** Set when it is ended because it did not obey: says nothing about the model, so it is not counted. */
  disobeyed: boolean;
  running: RunningJob | undefined;
}

export class WorkerPool implements Engine, AsyncDisposable {
  readonly slotCount: number;
  readonly #options: WorkerPoolOptions;
  readonly #slots = new Set<Slot>();
  readonly #waiting: PromiseWithResolvers<Slot>[] = [];
  readonly #quarantine = new Quarantine({ now: Date.now });
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #startedAt = new Date();
  readonly #firstReady = Promise.withResolvers<void>();
  readonly #defunct = Promise.withResolvers<void>();
  #info: ModelInfo | undefined;
  #completedAt: Date | undefined;
  #setupLogs = '';
  #nextJobId = 1;
  #deaths = 0;
  #state: 'running' | 'setup_failed' | 'defunct' | 'closed' = 'running';

  constructor(options: WorkerPoolOptions) {
    this.slotCount = options.size;
    this.#options = options;
    for (let i = 0; i < options.size; i += 1) this.#spawn();
  }

  get info(): ModelInfo | undefined {
    return this.#info;
  }

  /** Settles when every worker is ready, or when the first load has failed. */
  get started(): Promise<void> {
    return this.#firstReady.promise;
  }

  /** Settles when only a new process can help. */
  get defunct(): Promise<void> {
    return this.#defunct.promise;
  }

  health(): EngineHealth {
    const completedAt = this.#completedAt;
    const failed = this.#state === 'setup_failed';
    return {
      status: this.#status(),
      setup: {
        startedAt: this.#startedAt,
        ...(completedAt && { completedAt }),
        status: failed ? 'failed' : completedAt ? 'succeeded' : 'starting',
        logs: this.#setupLogs,
      },
    };
  }

  async run(job: InferenceJob, { signal, onEvent }: RunOptions): Promise<JobResult> {
    signal.throwIfAborted();
    this.#quarantine.check(job);
    const slot = await this.#idleSlot(signal);
    if (signal.aborted) {
      this.#release(slot);
      throw signal.reason;
    }
    const jobId = this.#nextJobId;
    this.#nextJobId += 1;
    const cancelFlag = new Int32Array(new SharedArrayBuffer(4));
    const settle = Promise.withResolvers<JobResult>();
    const cancel = () => {
      Atomics.store(cancelFlag, 0, 1);
      this.#send(slot, { type: 'cancel', jobId });
      const timer = this.#timer(this.#options.cancelGraceMs, () => {
        if (slot.running?.jobId !== jobId) return;
        this.#options.log.error('worker.unresponsive', { job_id: jobId });
        slot.disobeyed = true;
        void this.#terminate(slot);
      });
      void settle.promise.catch(() => undefined).finally(() => this.#clear(timer));
    };
    slot.running = { jobId, job, onEvent, settle };
    this.#send(slot, { type: 'run', jobId, job, cancelFlag });
    signal.addEventListener('abort', cancel, { once: true });
    try {
      return await settle.promise;
    } catch (error) {
      // Aborted or replaced on our own wish: the caller knows the reason better.
      if (signal.aborted) throw signal.reason;
      throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  /** Releases sessions and ends the threads; running jobs are stopped. */
  async close(): Promise<void> {
    this.#state = 'closed';
    for (const waiting of this.#waiting.splice(0)) waiting.reject(unavailable());
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    await Promise.all(
      [...this.#slots].map(async (slot) => {
        slot.retired = true;
        const exited = new Promise<void>((resolve) => slot.worker.once('exit', () => resolve()));
        this.#send(slot, { type: 'close' });
        // A worker that is still loading is not listening yet; one in a native call neither.
        const grace = slot.ready ? this.#options.cancelGraceMs : 0;
        const timer = setTimeout(() => void slot.worker.terminate(), grace);
        await exited;
        clearTimeout(timer);
      }),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #status(): EngineHealth['status'] {
    if (this.#state === 'setup_failed') return 'setup_failed';
    if (this.#state === 'defunct' || this.#state === 'closed') return 'defunct';
    if (this.#completedAt === undefined) return 'starting';
    return [...this.#slots].some((slot) => slot.ready) ? 'ready' : 'unhealthy';
  }

  #spawn(): void {
    const { workerUrl, workerData, setupTimeoutMs, log } = this.#options;
    const worker = new Worker(workerUrl, { workerData });
    const slot: Slot = {
      worker,
      ready: false,
      taken: false,
      retired: false,
      disobeyed: false,
      running: undefined,
    };
    this.#slots.add(slot);
    const setupTimer = this.#timer(setupTimeoutMs, () => {
      this.#failSetup(slot, `not ready after ${setupTimeoutMs} ms`, '');
      void this.#terminate(slot);
    });
    worker.on('message', (message: FromWorker) => this.#receive(slot, message, setupTimer));
    // An `exit` always follows, which is where the job is settled and the worker replaced.
    worker.on('error', (error) => log.error('worker.failed', {}, error));
    worker.on('exit', (code) => {
      this.#clear(setupTimer);
      this.#buried(slot, code);
    });
  }

  #receive(slot: Slot, message: FromWorker, setupTimer: NodeJS.Timeout): void {
    const { running } = slot;
    switch (message.type) {
      case 'ready':
        this.#clear(setupTimer);
        this.#markReady(slot, message.info, message.loadMs);
        return;
      case 'setup_failed':
        this.#clear(setupTimer);
        this.#failSetup(slot, message.detail, message.stack);
        return;
      default:
    }
    // A message of a job that is no longer there has nobody to go to.
    if (!running || running.jobId !== message.jobId) return;
    if (message.type === 'event') {
      running.onEvent(message.event);
      return;
    }
    slot.running = undefined;
    // Only a job that was worked off shows that the replacement is sound.
    this.#deaths = 0;
    if (message.type === 'done') running.settle.resolve(message.result);
    else if (message.type === 'canceled') running.settle.reject(new Error('canceled'));
    else {
      const { code, detail, stack, param } = message;
      running.settle.reject(
        new ServiceError(code, { detail, message: stack, ...(param !== undefined && { param }) }),
      );
    }
    this.#release(slot);
  }

  #markReady(slot: Slot, info: ModelInfo, loadMs: number): void {
    slot.ready = true;
    this.#info ??= info;
    this.#options.log.info('worker.ready', { load_ms: Math.round(loadMs) });
    this.#setupLogs += `worker ready after ${Math.round(loadMs)} ms\n`;
    if (!this.#completedAt && [...this.#slots].every((each) => each.ready)) {
      this.#completedAt = new Date();
      this.#firstReady.resolve();
    }
    // The log is for the set-up; later replacements are in the process log.
    if (this.#completedAt) this.#setupLogs = this.#setupLogs.slice(0, 2048);
    this.#release(slot);
  }

  #failSetup(slot: Slot, detail: string, stack: string): void {
    slot.retired = this.#completedAt === undefined;
    this.#options.log.error('worker.setup_failed', { detail, stack });
    if (this.#completedAt) return; // counted as a death when it exits
    if (this.#state === 'running') this.#state = 'setup_failed';
    this.#setupLogs += `${detail}\n`;
    this.#completedAt = new Date();
    this.#firstReady.resolve();
  }

  /** Ends the job of a dead worker and starts another worker, unless they keep dying. */
  #buried(slot: Slot, code: number): void {
    this.#slots.delete(slot);
    slot.ready = false;
    const { running } = slot;
    slot.running = undefined;
    running?.settle.reject(
      new ServiceError('upstream_lost', {
        detail: 'The inference worker stopped unexpectedly. The request can be repeated.',
        message: `worker exited with code ${code} during job ${running.jobId}`,
      }),
    );
    if (slot.retired || this.#state !== 'running') return;
    if (running !== undefined && !slot.disobeyed) this.#quarantine.countDeath(running.job);
    if (!this.#completedAt) {
      this.#failSetup(slot, 'The worker stopped while it loaded the model.', `exit code ${code}`);
      return;
    }
    if (!slot.disobeyed) this.#deaths += 1;
    this.#options.log.error('worker.exited', { code, deaths: this.#deaths });
    if (this.#deaths > DEATHS_MAX) {
      this.#giveUp();
      return;
    }
    this.#options.onRestart?.();
    this.#timer(RESTART_DELAY_MS * 2 ** Math.max(this.#deaths - 1, 0), () => {
      if (this.#state === 'running') this.#spawn();
    });
  }

  /** Ends a worker that does not obey. Its `exit` event does the rest, if it comes. */
  async #terminate(slot: Slot): Promise<void> {
    const timer = this.#timer(TERMINATE_DEADLINE_MS, () => {
      slot.running?.settle.reject(
        new ServiceError('upstream_lost', { detail: 'The inference worker cannot be stopped.' }),
      );
      this.#giveUp();
    });
    await slot.worker.terminate();
    this.#clear(timer);
  }

  #giveUp(): void {
    if (this.#state !== 'running') return;
    this.#state = 'defunct';
    this.#options.log.error('pool.defunct');
    for (const waiting of this.#waiting.splice(0)) waiting.reject(unavailable());
    this.#defunct.resolve();
  }

  async #idleSlot(signal: AbortSignal): Promise<Slot> {
    if (this.#state !== 'running') throw unavailable();
    for (const slot of this.#slots) {
      if (!slot.ready || slot.taken) continue;
      slot.taken = true;
      return slot;
    }
    const waiting = Promise.withResolvers<Slot>();
    const giveUp = () => {
      const index = this.#waiting.indexOf(waiting);
      // No longer listed: a slot has been promised, and `run()` hands it back.
      if (index < 0) return;
      this.#waiting.splice(index, 1);
      waiting.reject(signal.reason);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    this.#waiting.push(waiting);
    try {
      return await waiting.promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  /** Gives a worker to whoever waits longest, or marks it idle. */
  #release(slot: Slot): void {
    slot.taken = false;
    if (!slot.ready) return;
    const next = this.#waiting.shift();
    if (!next) return;
    slot.taken = true;
    next.resolve(slot);
  }

  #send(slot: Slot, message: ToWorker): void {
    slot.worker.postMessage(message);
  }

  #timer(delayMs: number, action: () => void): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, delayMs);
    this.#timers.add(timer);
    return timer;
  }

  #clear(timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    this.#timers.delete(timer);
  }
}

function unavailable(): ServiceError {
  return new ServiceError('model_unavailable', {
    detail: 'The model is not available.',
    message: 'no worker will become ready',
  });
}
