/**
 * Several upstreams as one: the first that can draw the model and is well draws it; another one takes over where that is safe.
 *
 * Order is that of the configuration. An upstream is passed over while its circuit is open and while it has asked to be left
 * alone (`Retry-After`). When one fails, the next is tried if the first has begun nothing, or if what it began has ended by
 * itself and cost nothing (`isRepeatable`). All state is numbers, shared by every job object of an isolate.
 */
import { type ErrorCode, ServiceError } from '#shared/errors.ts';
import { CircuitBreaker, type CircuitState, type Permit } from './circuit-breaker.ts';
import type { RetryBudget } from './retry-budget.ts';
import { RestError, type Upstream, type UpstreamEvents, type UpstreamRequest } from './upstream.ts';

/** One upstream and what it is for. */
export interface Candidate {
  readonly upstream: Upstream;
  /** Ids of the models it draws. */
  readonly models: ReadonlySet<string>;
}

export interface UpstreamsOptions {
  /** Preferred first. */
  readonly candidates: readonly Candidate[];
  readonly retryBudget: RetryBudget;
  readonly now: () => number;
  /** Longest execution: a probe is given up after it. */
  readonly deadlineMsMax: number;
  /** Told when one upstream takes over from another. */
  readonly onFailover: (fields: {
    readonly from: string;
    readonly to: string;
    readonly code: ErrorCode;
    readonly requestId: string;
  }) => void;
  readonly onCircuit: (fields: { readonly upstream: string; readonly state: CircuitState }) => void;
}

interface Member extends Candidate {
  readonly breaker: CircuitBreaker;
  /** It has asked not to be called before. */
  restUntilMs: number;
  /** What it said then. */
  restCode: ErrorCode;
}

/** Nothing was begun. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'overloaded',
  'model_unavailable',
  'circuit_open',
]);
/** Signs of a sick upstream. */
const FAILURES: ReadonlySet<ErrorCode> = new Set([
  'upstream_lost',
  'upstream_stalled',
  'upstream_truncated',
  'upstream_invalid_response',
  'deadline_exceeded',
]);
/** However long an upstream wants to be left alone, it is asked again after this. */
const REST_MS_MAX = 30_000;
/** With less than this left of the deadline nothing is begun any more. */
const REMAINING_MS_MIN = 500;

export class Upstreams {
  readonly #options: UpstreamsOptions;
  readonly #members: readonly Member[];
  /** Failures behind which something may be running that costs money. */
  readonly #costly = new WeakSet<ServiceError>();

  constructor(options: UpstreamsOptions) {
    this.#options = options;
    this.#members = options.candidates.map((candidate) => ({
      ...candidate,
      breaker: new CircuitBreaker({
        now: options.now,
        probeMsMax: options.deadlineMsMax + REMAINING_MS_MIN,
      }),
      restUntilMs: 0,
      restCode: 'overloaded',
    }));
  }

  /** Why no upstream would take this model now; undefined when one might. Costs nothing and calls nobody. */
  findRefusal(model: string): ServiceError | undefined {
    const members = this.#membersFor(model);
    const isOpen = members.some(
      (member) => this.#restMs(member) === 0 && member.breaker.waitMs === 0,
    );
    return isOpen ? undefined : this.#refusal(members);
  }

  /**
   * Events of one prediction, by whichever upstream draws it; ends after `completed`.
   *
   * @throws {ServiceError} of the last upstream that was tried, or `circuit_open`, `overloaded`, `model_unavailable` when
   *   none could be
   */
  async *predict(request: UpstreamRequest): UpstreamEvents {
    const { now, retryBudget, onFailover } = this.#options;
    const members = this.#membersFor(request.model);
    const endMs = now() + request.deadlineMs;
    retryBudget.countRequest();
    let failed: { readonly member: Member; readonly error: ServiceError } | undefined;
    let wasAccepted = false;
    for (const member of members) {
      request.signal.throwIfAborted();
      if (this.#restMs(member) > 0) continue;
      const deadlineMs = endMs - now();
      // Another attempt has to fit into the time and into the budget.
      if (failed !== undefined && (deadlineMs < REMAINING_MS_MIN || !retryBudget.takeRetry()))
        break;
      const permit = member.breaker.acquire();
      if (permit === undefined) continue;
      if (failed !== undefined) {
        const { name: from } = failed.member.upstream;
        const { code } = failed.error;
        onFailover({ from, to: member.upstream.name, code, requestId: request.requestId });
      }
      try {
        for await (const event of member.upstream.predict({ ...request, deadlineMs })) {
          if (event.type === 'completed') this.#settle(member, permit, undefined);
          if (event.type === 'accepted') {
            if (wasAccepted) continue;
            wasAccepted = true;
          }
          yield event;
          if (event.type === 'completed') return;
        }
        throw new ServiceError('upstream_lost', { message: 'the events ended without a result' });
      } catch (error) {
        if (!(error instanceof ServiceError) || request.signal.aborted) throw error;
        this.#settle(member, permit, error);
        failed = { member, error };
        if (!REFUSALS.has(error.code) && !member.upstream.isRepeatable) this.#costly.add(error);
        if (this.#costly.has(error) || !canHelp(error.code)) throw error;
      } finally {
        // Whoever read the events has stopped reading: that says nothing of the upstream.
        permit.release();
      }
    }
    throw failed?.error ?? this.#refusal(members);
  }

  /** Whether a failure may be answered by drawing again: that is safe, may help, and the budget has room. Counts it. */
  takeRetry(error: ServiceError): boolean {
    const isSafe = FAILURES.has(error.code) && !this.#costly.has(error);
    return isSafe && this.#options.retryBudget.takeRetry();
  }

  /** Whether some upstream could take a prediction now. */
  async isReady(): Promise<boolean> {
    const answers = this.#members.map(async ({ upstream, breaker }) => {
      const isReady = breaker.state !== 'open' && (await upstream.isReady());
      return isReady ? true : Promise.reject(new Error('not ready'));
    });
    return Promise.any(answers).catch(() => false);
  }

  #membersFor(model: string): Member[] {
    return this.#members.filter(({ models }) => models.has(model));
  }

  #restMs({ restUntilMs }: Member): number {
    return Math.max(restUntilMs - this.#options.now(), 0);
  }

  #settle(member: Member, permit: Permit, error: ServiceError | undefined): void {
    const { upstream, breaker } = member;
    const before = breaker.state;
    if (error === undefined) permit.succeed();
    else if (FAILURES.has(error.code)) permit.fail();
    else permit.release();
    const { state } = breaker;
    if (state !== before) this.#options.onCircuit({ upstream: upstream.name, state });
    if (error instanceof RestError) {
      member.restUntilMs = this.#options.now() + Math.min(error.restMs, REST_MS_MAX);
      member.restCode = error.code;
    }
  }

  /** The kindest thing that can be said: the shortest wait, in the words of the one that has it. */
  #refusal(members: readonly Member[]): ServiceError {
    let best: { readonly code: ErrorCode; readonly retryAfterMs: number } | undefined;
    for (const member of members) {
      const restMs = this.#restMs(member);
      const waitMs = Math.max(restMs, member.breaker.waitMs);
      if (best !== undefined && waitMs >= best.retryAfterMs) continue;
      best = { code: restMs > 0 ? member.restCode : 'circuit_open', retryAfterMs: waitMs };
    }
    const { code, retryAfterMs } = best ?? { code: 'model_unavailable', retryAfterMs: 2000 };
    return new ServiceError(code, { retryAfterMs: Math.max(Math.ceil(retryAfterMs), 1) });
  }
}

/** Whether another upstream may do better: not where the request itself is refused. */
function canHelp(code: ErrorCode): boolean {
  return REFUSALS.has(code) || FAILURES.has(code);
}
