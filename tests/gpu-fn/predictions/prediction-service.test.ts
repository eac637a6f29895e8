import { describe, expect, it } from 'vitest';
import { predictionInput } from '#shared/schemas/prediction-input.ts';
import { createMetrics } from '../../../gpu-fn/metrics.ts';
import {
  PredictionService,
  type StorePicture,
  storeAsDataUri,
} from '../../../gpu-fn/predictions/prediction-service.ts';
import { JobQueue } from '../../../gpu-fn/queue.ts';
import { ControlledEngine } from '../../helpers/controlled-engine.ts';

const silent = { debug: () => undefined, info: () => undefined, error: () => undefined };

function setUp({ storePicture = storeAsDataUri as StorePicture } = {}) {
  const engine = new ControlledEngine();
  const queue = new JobQueue({ slotCount: 1, queueDepthMax: 1 });
  const service = new PredictionService({
    engine,
    queue,
    metrics: createMetrics({ queueDepth: () => queue.depth, runningCount: () => 0 }),
    log: silent,
    jobDeadlineMs: 60_000,
    historyMax: 100,
    storePicture,
    random: () => 0,
  });
  const create = (id: string) =>
    service.create({
      id,
      input: predictionInput.parse({ prompt: 'a cat' }),
      mode: 'async',
      previewCount: 0,
      requestId: 'r1',
    });
  return { engine, queue, service, create };
}

describe('PredictionService', () => {
  it('forgets a prediction when it has ended, and gives its slot back', async () => {
    const { engine, queue, service, create } = setUp();
    const prediction = create('p1');
    expect(service.get('p1')).toBe(prediction);
    (await engine.nextJob()).finish();
    await prediction.settled;
    expect(service.get('p1')).toBeUndefined();
    expect([queue.runningCount, queue.depth]).toEqual([0, 0]);
  });

  it('gives pictures in their order, even if the first one takes longer to store', async () => {
    const first = Promise.withResolvers<void>();
    const { engine, create } = setUp({
      storePicture: async ({ bytes }) => {
        if (bytes[0] === 1) await first.promise;
        return `picture ${bytes[0]}`;
      },
    });
    const prediction = create('p1');
    const job = await engine.nextJob();
    job.picture(new Uint8Array([1]));
    job.picture(new Uint8Array([2]));
    job.settle.resolve({
      timings: { text_ms: 0, denoise_ms: 0, vae_ms: 0, image_ms: 0 },
      warnings: [],
    });
    first.resolve();
    expect(await prediction.settled).toMatchObject({ output: ['picture 1', 'picture 2'] });
  });

  it('lets a result stand that came before the cancellation did', async () => {
    const { engine, service, create } = setUp();
    const prediction = create('p1');
    (await engine.nextJob()).finish();
    service.cancel('p1');
    expect((await prediction.settled).status).toBe('succeeded');
  });

  it('estimates the wait from what predictions have taken', async () => {
    const { engine, create } = setUp();
    create('p1');
    create('p2');
    expect(() => create('p3')).toThrow(
      // Two are ahead at a second each, as long as nothing was measured.
      expect.objectContaining({ code: 'overloaded', retryAfterMs: 2000 }),
    );
    (await engine.nextJob()).finish();
    (await engine.nextJob()).finish();
  });
});
