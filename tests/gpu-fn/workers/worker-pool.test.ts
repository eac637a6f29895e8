/** Inference threads: real worker threads around a scripted pipeline. */
import { afterEach, describe, expect, it } from 'vitest';
import type { CompleteInput } from '../../../gpu-fn/predictions/complete-input.ts';
import type { InferenceJob, JobEvent } from '../../../gpu-fn/workers/engine.ts';
import { WorkerPool, type WorkerPoolOptions } from '../../../gpu-fn/workers/worker-pool.ts';
import { TEST_MODEL } from '../../helpers/controlled-engine.ts';

const pools: WorkerPool[] = [];
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});

const silent = { debug: () => undefined, info: () => undefined, error: () => undefined };

async function startPool({
  bundle = 'any',
  ...options
}: Partial<WorkerPoolOptions> & { bundle?: string } = {}): Promise<WorkerPool> {
  const pool = new WorkerPool({
    size: 1,
    workerUrl: new URL('../../helpers/scripted-worker.ts', import.meta.url),
    workerData: { bundle, threads: 1 },
    log: silent,
    cancelGraceMs: 5000,
    setupTimeoutMs: 30_000,
    ...options,
  });
  pools.push(pool);
  await pool.started;
  return pool;
}

function job(
  prompt: string,
  { previewCount = 0, ...fields }: Partial<CompleteInput> & { previewCount?: number } = {},
): InferenceJob {
  const input: CompleteInput = {
    prompt,
    negative_prompt: '',
    seed: 7,
    width: 64,
    height: 64,
    num_inference_steps: 4,
    guidance_scale: 0,
    scheduler: 'lcm',
    num_outputs: 1,
    output_format: 'png',
    output_quality: 90,
    size_policy: 'fit',
    background: 'auto',
    strength: 0.8,
    metadata: 'minimal',
    control_scale: 1,
    return_edges: false,
    loras: [],
    decoder: 'fast',
    ...fields,
  };
  return { input, previewCount };
}

/** Runs a job; `first` settles at its first event. */
function run(pool: WorkerPool, asked: InferenceJob) {
  const controller = new AbortController();
  const events: JobEvent[] = [];
  const first = Promise.withResolvers<void>();
  const result = pool.run(asked, {
    signal: controller.signal,
    onEvent: (event) => {
      events.push(event);
      first.resolve();
    },
  });
  result.catch(() => undefined); // each test looks at it when it gets there
  return { controller, events, first: first.promise, result };
}

const names = (events: readonly JobEvent[]) => events.map(({ type }) => type);

describe('WorkerPool.run()', () => {
  it('hands over the events of a job in order, then its result', async () => {
    const pool = await startPool();
    const { events, result } = run(pool, job('draw', { previewCount: 1 }));
    expect(await result).toMatchObject({
      timings: { text_ms: 1, denoise_ms: 2, vae_ms: 3 },
      warnings: [],
      promptTokens: 2,
    });
    // The preview is encoded beside the steps, but never comes after its picture.
    const steps = events.flatMap((event) => (event.type === 'step' ? [event.stepIndex] : []));
    expect(steps).toEqual([0, 1, 2, 3]);
    expect(events.find(({ type }) => type === 'preview')).toMatchObject({ stepIndex: 1 });
    expect(names(events).at(-1)).toBe('picture');
    expect(events.at(-1)).toMatchObject({
      pictureIndex: 0,
      mimeType: 'image/png',
      bytes: new TextEncoder().encode('png 64x64'),
      sha256: 'dbe412c8c2be37008b6d9c4c0c400ebc00a2c4296045fb39a7c966f9c0aa19ff',
      seed: 7,
      width: 64,
      height: 64,
    });
  });

  it('draws picture i with seed + i, modulo 2³²', async () => {
    const pool = await startPool();
    const asked = job('draw', { num_outputs: 2, seed: 0xffff_ffff });
    const { events, result } = run(pool, asked);
    await result;
    const seeds = events.flatMap((event) => (event.type === 'picture' ? [event.seed] : []));
    expect(seeds).toEqual([0xffff_ffff, 0]);
  });

  it('stops a canceled job before its next step, and the worker goes on to the next job', async () => {
    const pool = await startPool();
    const { controller, events, first, result } = run(pool, job('hold'));
    await first;
    controller.abort(new Error('enough'));
    await expect(result).rejects.toThrow('enough');
    expect(names(events)).toEqual(['step']);
    await run(pool, job('draw')).result;
    expect(pool.health().status).toBe('ready');
  });

  it('reaches a job that never lets a message in, through the shared flag', async () => {
    const pool = await startPool();
    const { controller, events, first, result } = run(
      pool,
      job('microtasks', { num_inference_steps: 1000 }),
    );
    await first;
    controller.abort(new Error('enough'));
    await expect(result).rejects.toThrow('enough');
    expect(events.length).toBeLessThan(1000);
    await run(pool, job('draw')).result;
  });

  it('does not start a job whose signal is aborted already', async () => {
    const pool = await startPool();
    await expect(
      pool.run(job('exit'), {
        signal: AbortSignal.abort(new Error('no')),
        onEvent: () => undefined,
      }),
    ).rejects.toThrow('no');
    expect(pool.health().status).toBe('ready');
  });

  it('reports a failure with a text for the caller and one for the log', async () => {
    const pool = await startPool();
    const { result } = run(pool, job('throw: shapes at /secret/path disagree'));
    await expect(result).rejects.toMatchObject({
      code: 'internal_error',
      detail: 'The picture could not be drawn.',
      message: expect.stringContaining('shapes at /secret/path disagree'),
    });
    await run(pool, job('draw')).result;
  });

  it('knows when memory ran out', async () => {
    const pool = await startPool();
    const { result } = run(pool, job('throw: std::bad_alloc'));
    await expect(result).rejects.toMatchObject({ code: 'out_of_memory' });
  });

  it('ends the job of a dying worker with one error, and the next job finds another worker', async () => {
    let restarts = 0;
    const pool = await startPool({ onRestart: () => (restarts += 1) });
    await expect(run(pool, job('exit')).result).rejects.toMatchObject({ code: 'upstream_lost' });
    expect(pool.health().status).toBe('unhealthy');
    await run(pool, job('draw')).result;
    expect(pool.health().status).toBe('ready');
    expect(restarts).toBe(1);
  });

  it('replaces a worker that does not obey within the grace, however often', async () => {
    const pool = await startPool({ cancelGraceMs: 50 });
    for (let i = 0; i < 5; i += 1) {
      const { controller, result } = run(pool, job('deaf'));
      controller.abort(new Error('enough'));
      await expect(result).rejects.toThrow('enough');
    }
    await run(pool, job('draw')).result;
    expect(pool.health().status).toBe('ready');
  });

  it('refuses what has killed two workers, and goes on drawing for others', async () => {
    let restarts = 0;
    const pool = await startPool({ onRestart: () => (restarts += 1) });
    for (const code of ['upstream_lost', 'upstream_lost', 'request_quarantined']) {
      await expect(run(pool, job('exit')).result).rejects.toMatchObject({ code });
    }
    await run(pool, job('draw')).result;
    expect(restarts).toBe(2);
  });

  it('gives up when workers keep dying', async () => {
    const pool = await startPool();
    for (let seed = 0; seed < 4; seed += 1) {
      await expect(run(pool, job('exit', { seed })).result).rejects.toMatchObject({
        code: 'upstream_lost',
      });
    }
    await pool.defunct;
    expect(pool.health().status).toBe('defunct');
    await expect(run(pool, job('draw')).result).rejects.toMatchObject({
      code: 'model_unavailable',
    });
  });

  it('runs on as many threads as there are workers', async () => {
    const pool = await startPool({ size: 2 });
    const held = run(pool, job('hold'));
    await held.first;
    await run(pool, job('draw')).result;
    held.controller.abort(new Error('enough'));
    await expect(held.result).rejects.toThrow('enough');
  });
});

describe('WorkerPool.health()', () => {
  it('tells that the model could not be loaded, without the path', async () => {
    const pool = await startPool({ bundle: 'broken' });
    const health = pool.health();
    expect(health.status).toBe('setup_failed');
    expect(health.setup.status).toBe('failed');
    expect(health.setup.logs).not.toContain('/secret');
    expect(health.setup.logs).not.toBe('');
    expect(pool.info).toBeUndefined();
  });

  it('tells that a worker died while it loaded', async () => {
    const pool = await startPool({ bundle: 'exits' });
    expect(pool.health().status).toBe('setup_failed');
    expect(pool.health().setup.logs).toContain('stopped while it loaded');
  });

  it('holds what is loaded once it is ready', async () => {
    const pool = await startPool();
    expect(pool.health().setup.status).toBe('succeeded');
    expect(pool.info).toEqual(TEST_MODEL);
  });
});

describe('WorkerPool.close()', () => {
  it('stops what runs and ends every thread', async () => {
    const pool = await startPool({ size: 2 });
    const { first, result } = run(pool, job('hold'));
    await first;
    await pool.close();
    await expect(result).rejects.toBeInstanceOf(Error);
    await expect(run(pool, job('draw')).result).rejects.toMatchObject({
      code: 'model_unavailable',
    });
  });
});
