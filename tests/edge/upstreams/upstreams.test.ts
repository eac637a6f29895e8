/** Choice, failover and circuits, with upstreams that do what the test says. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type ErrorCode, ServiceError } from '#shared/errors.ts';
import type { PredictionInput } from '#shared/schemas/prediction-input.ts';
import { RetryBudget } from '../../../edge/upstreams/retry-budget.ts';
import { RestError, type Upstream, type UpstreamEvents } from '../../../edge/upstreams/upstream.ts';
import { Upstreams } from '../../../edge/upstreams/upstreams.ts';

class Scripted implements Upstream {
  readonly name: string;
  readonly isRepeatable: boolean;
  calls = 0;
  /** What the next calls end with; absent: a picture. */
  errors: unknown[] = [];
  /** Whether it takes the work before it fails. */
  accepts = false;
  ready = true;

  constructor(name: string, { isRepeatable = true } = {}) {
    this.name = name;
    this.isRepeatable = isRepeatable;
  }

  async *predict(): UpstreamEvents {
    this.calls += 1;
    const error = this.errors.shift();
    if (error === undefined || this.accepts) yield { type: 'accepted' };
    if (error !== undefined) throw error;
    yield { type: 'completed', prediction: { status: 'succeeded', output: [this.name] } };
  }

  async isReady() {
    return this.ready;
  }
}

const fault = (code: ErrorCode) => new ServiceError(code, { retryAfterMs: 1000 });

let nowMs = 0;
let first: Scripted;
let second: Scripted;
let hosted: Scripted;
let failovers: string[] = [];

beforeEach(() => {
  nowMs = 1_000_000;
  first = new Scripted('first');
  second = new Scripted('second');
  hosted = new Scripted('hosted', { isRepeatable: false });
  failovers = [];
});

function create(candidates: Scripted[] = [first, second]) {
  return new Upstreams({
    candidates: candidates.map((upstream) => ({ upstream, models: new Set(['a/b']) })),
    retryBudget: new RetryBudget({ now: () => nowMs }),
    now: () => nowMs,
    deadlineMsMax: 60_000,
    onFailover: ({ from, to, code }) => failovers.push(`${from}>${to} ${code}`),
    onCircuit: () => undefined,
  });
}

async function run(upstreams: Upstreams, { model = 'a/b', deadlineMs = 60_000 } = {}) {
  const types: string[] = [];
  try {
    for await (const event of upstreams.predict({
      id: 'p1',
      model,
      input: {} as PredictionInput,
      previews: 0,
      requestId: 'r1',
      deadlineMs,
      recordBytesMax: 1000,
      signal: new AbortController().signal,
      background: () => undefined,
    })) {
      types.push(event.type === 'completed' ? event.prediction.output![0]! : event.type);
    }
  } catch (error) {
    types.push((error as ServiceError).code);
  }
  return types.join();
}

describe('Upstreams.predict()', () => {
  test('Upstreams.predict() asks the preferred one and nobody else', async () => {
    expect(await run(create())).toBe('accepted,first');
    expect([first.calls, second.calls]).toEqual([1, 0]);
  });

  test('Upstreams.predict() asks only those that draw the model', async () => {
    expect(await run(create(), { model: 'c/d' })).toBe('model_unavailable');
    expect([first.calls, second.calls]).toEqual([0, 0]);
  });

  test.each(['overloaded', 'model_unavailable', 'upstream_lost', 'upstream_stalled'] as const)(
    'Upstreams.predict() goes on with the next after %s, and the caller sees one run',
    async (code) => {
      first.errors = [fault(code)];
      first.accepts = code.startsWith('upstream');
      expect(await run(create())).toBe('accepted,second');
      expect(failovers).toEqual([`first>second ${code}`]);
    },
  );

  test.each(['invalid_parameter', 'out_of_memory', 'prompt_too_long'] as const)(
    'Upstreams.predict() asks nobody else after %s',
    async (code) => {
      first.errors = [fault(code)];
      expect(await run(create())).toBe(code);
      expect(second.calls).toBe(0);
    },
  );

  test('Upstreams.predict() does not draw again what may have been billed', async () => {
    hosted.errors = [fault('upstream_lost'), fault('overloaded')];
    const upstreams = create([hosted, second]);
    expect(await run(upstreams)).toBe('upstream_lost');
    expect(second.calls).toBe(0);
    // Refused means that nothing was begun.
    expect(await run(upstreams)).toBe('accepted,second');
  });

  test('Upstreams.predict() leaves one alone for as long as it asks, at most half a minute', async () => {
    const rest = (restMs: number) => new RestError('overloaded', { restMs, retryAfterMs: restMs });
    hosted.errors = [rest(2000), rest(60_000)];
    const upstreams = create([hosted]);
    expect(await run(upstreams)).toBe('overloaded');
    expect(upstreams.findRefusal('a/b')).toMatchObject({ code: 'overloaded', retryAfterMs: 2000 });
    nowMs += 1999;
    expect(await run(upstreams)).toBe('overloaded');
    expect(hosted.calls).toBe(1);
    nowMs += 1;
    expect(upstreams.findRefusal('a/b')).toBeUndefined();
    await run(upstreams);
    expect(hosted.calls).toBe(2);
    expect(upstreams.findRefusal('a/b')?.retryAfterMs).toBe(30_000);
  });

  test('Upstreams.predict() opens the circuit after five failures and closes it by one probe', async () => {
    first.errors = Array.from({ length: 5 }, () => fault('upstream_lost'));
    const upstreams = create([first]);
    for (let i = 0; i < 5; i += 1) expect(await run(upstreams)).toBe('upstream_lost');
    expect(await run(upstreams)).toBe('circuit_open');
    expect(upstreams.findRefusal('a/b')).toMatchObject({
      code: 'circuit_open',
      retryAfterMs: 5000,
    });
    expect(first.calls).toBe(5);
    nowMs += 5000;
    expect(await run(upstreams)).toBe('accepted,first');
    expect(upstreams.findRefusal('a/b')).toBeUndefined();
  });

  test('Upstreams.predict() goes past an open circuit without touching the retry budget', async () => {
    first.errors = Array.from({ length: 5 }, () => fault('upstream_lost'));
    const upstreams = create();
    for (let i = 0; i < 5; i += 1) await run(upstreams);
    for (let i = 0; i < 20; i += 1) expect(await run(upstreams)).toBe('accepted,second');
    expect(failovers).toHaveLength(3);
  });

  test('Upstreams.predict() tries at most a tenth more than it was asked for, in a total outage', async () => {
    const upstreams = create();
    const always = (upstream: Scripted) => {
      upstream.errors = Array.from({ length: 1000 }, () => fault('overloaded'));
    };
    always(first);
    always(second);
    for (let i = 0; i < 200; i += 1) expect(await run(upstreams)).toBe('overloaded');
    expect(first.calls + second.calls).toBeLessThanOrEqual(220);
    expect(second.calls).toBe(20);
  });

  test('Upstreams.predict() begins nothing when the time is up', async () => {
    first.errors = [fault('upstream_lost')];
    const upstreams = create();
    expect(await run(upstreams, { deadlineMs: 400 })).toBe('upstream_lost');
    expect(second.calls).toBe(0);
  });
});

describe('Upstreams.takeRetry()', () => {
  test('Upstreams.takeRetry() allows a loss to be drawn again, unless it may have been billed', async () => {
    const upstreams = create([hosted]);
    const billed = fault('upstream_lost');
    hosted.errors = [billed];
    await run(upstreams);
    expect(upstreams.takeRetry(billed)).toBe(false);
    expect(upstreams.takeRetry(fault('upstream_lost'))).toBe(true);
    expect(upstreams.takeRetry(fault('invalid_parameter'))).toBe(false);
  });
});

describe('Upstreams.isReady()', () => {
  test('Upstreams.isReady() while one of them is', async () => {
    first.ready = false;
    expect(await create().isReady()).toBe(true);
    second.ready = false;
    expect(await create().isReady()).toBe(false);
  });
});
