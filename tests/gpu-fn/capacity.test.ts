/** Queue, capacity and deadline of the function. */
import { describe, expect, it } from 'vitest';
import { ControlledEngine } from '../helpers/controlled-engine.ts';
import { allEvents, startFunction } from '../helpers/gpu-function.ts';

const INPUT = { input: { prompt: 'a cat' } };

describe('capacity', () => {
  it('lets MAX_QUEUE predictions wait and refuses the next one with 409 and Retry-After', async () => {
    await using fn = await startFunction({ env: { MAX_QUEUE: '2' } });
    const admitted = [fn.predict(INPUT), fn.predict(INPUT), fn.predict(INPUT)];
    await expect.poll(() => fn.gpuFunction.service.runningCount).toBe(3);
    const refused = await fn.predict(INPUT);
    expect(refused.status).toBe(409);
    // Three are ahead of it, a second each until measured, plus a tenth of spread.
    expect(refused.headers.get('Retry-After')).toBe('4');
    expect(await refused.json()).toEqual({
      error: 'At capacity - all prediction slots busy',
      status: 'failed',
      code: 'overloaded',
    });
    for (const answer of admitted) {
      (await fn.engine.nextJob()).finish();
      expect((await answer).status).toBe(200);
    }
    const again = fn.predict(INPUT);
    (await fn.engine.nextJob()).finish();
    expect((await again).status).toBe(200);
  });

  it('is plain Cog with MAX_QUEUE=0', async () => {
    await using fn = await startFunction({ env: { MAX_QUEUE: '0' } });
    const first = fn.predict(INPUT);
    const job = await fn.engine.nextJob();
    expect((await fn.predict(INPUT)).status).toBe(409);
    job.finish();
    await first;
  });

  it('runs as many predictions at once as there are workers, first come first served', async () => {
    const engine = new ControlledEngine({ slotCount: 2 });
    await using fn = await startFunction({ engine });
    const answers = ['a', 'b', 'c'].map((prompt) => fn.predict({ input: { prompt } }));
    const [first, second] = [await engine.nextJob(), await engine.nextJob()];
    expect(engine.startedCount).toBe(2);
    expect(await fn.metric('queue_depth')).toBe(1);
    second.finish();
    const third = await engine.nextJob();
    expect(engine.startedCount).toBe(3);
    first.finish();
    third.finish();
    for (const answer of answers) expect((await answer).status).toBe(200);
  });
});

describe('deadline', () => {
  it('stops the work of a prediction and fails it', async () => {
    await using fn = await startFunction({ env: { JOB_DEADLINE_MS: '100' } });
    const answer = fn.predict(INPUT);
    const job = await fn.engine.nextJob();
    await job.stopped();
    expect(await (await answer).json()).toMatchObject({
      status: 'failed',
      error: 'The deadline of 0.1 s has passed.',
      code: 'deadline_exceeded',
    });
  });

  it('covers the time in the queue', async () => {
    await using fn = await startFunction({ env: { JOB_DEADLINE_MS: '150' } });
    const first = fn.predict(INPUT);
    await fn.engine.nextJob();
    const second = await fn.predict(INPUT, { Accept: 'text/event-stream' });
    const events = await allEvents(second);
    expect(events.at(-1)).toMatchObject({
      event: 'completed',
      data: { status: 'failed', code: 'deadline_exceeded' },
    });
    await first;
  });
});

describe('drain', () => {
  it('lets the running prediction finish and refuses new ones', async () => {
    const fn = await startFunction({ env: { DRAIN_DEADLINE_MS: '10000' } });
    const answer = fn.predict(INPUT);
    const job = await fn.engine.nextJob();
    const drained = fn.gpuFunction.drain();
    expect(() =>
      fn.gpuFunction.service.create({
        input: { prompt: 'a dog' } as never,
        mode: 'sync',
        previewCount: 0,
        requestId: 'r',
      }),
    ).toThrow('shutting down');
    await expect(fetch(`${fn.origin}/health-check`)).rejects.toThrow();
    job.finish();
    expect(await (await answer).json()).toMatchObject({ status: 'succeeded' });
    await drained;
  });

  it('ends a prediction that outlives its bound with one clear error', async () => {
    const fn = await startFunction({ env: { DRAIN_DEADLINE_MS: '20' } });
    const response = await fn.predict(INPUT, { Accept: 'text/event-stream' });
    const job = await fn.engine.nextJob();
    const drained = fn.gpuFunction.drain();
    const events = await allEvents(response);
    expect(events.filter(({ event }) => event === 'completed')).toHaveLength(1);
    expect(events.at(-1)?.data).toMatchObject({ status: 'failed', code: 'upstream_lost' });
    await job.stopped();
    await drained;
  });
});
