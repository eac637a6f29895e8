import { describe, expect, it } from 'vitest';
import { predictionInput } from '#shared/schemas/prediction-input.ts';
import type { ToWorker } from '../../../gpu-fn/workers/protocol.ts';
import {
  previewSteps,
  type ServedPipeline,
  serveJobs,
} from '../../../gpu-fn/workers/serve-jobs.ts';

describe('previewSteps()', () => {
  it.each([
    [4, 0, []],
    [4, 1, [1]],
    [4, 2, [0, 1]],
    [4, 3, [0, 1, 2]],
    [4, 4, [0, 1, 2, 3]],
    [4, 100, [0, 1, 2, 3]],
    [1, 1, [0]],
    [20, 3, [4, 9, 14]],
  ])('of %i steps and %i previews are %j', (stepCount, count, steps) => {
    expect([...previewSteps({ stepCount, count })]).toEqual(steps);
  });
});

describe('serveJobs()', () => {
  it('sends previews in the order of their steps, also when the first takes longest to encode', async () => {
    const image = { data: new Uint8Array(3), width: 1, height: 1, channels: 3 } as const;
    const sent: unknown[] = [];
    const done = Promise.withResolvers<void>();
    let receive: (message: ToWorker) => void = () => undefined;
    const slow = Promise.withResolvers<void>();
    let encodings = 0;
    await serveJobs({
      bundle: 'none',
      port: {
        on: (_event, listener) => {
          receive = listener;
        },
        postMessage: (message) => {
          if (message.type === 'event')
            sent.push([
              message.event.type,
              'stepIndex' in message.event && message.event.stepIndex,
            ]);
          if (message.type === 'done' || message.type === 'failed') done.resolve();
        },
        close: () => undefined,
      },
      loadPipeline: async () => ({
        info: {} as ServedPipeline['info'],
        generate: async (_options, { onStep }) => {
          for (const stepIndex of [0, 1]) {
            onStep?.({ stepIndex, stepCount: 2, timestep: 0, preview: () => image });
          }
          const timings = { text_ms: 0, denoise_ms: 0, vae_ms: 0, image_ms: 0 };
          return { image, seed: 0, warnings: [], timings, drawn: [1, 1], promptTokens: 1 };
        },
        dispose: async () => undefined,
      }),
      encodeImage: async () => {
        encodings += 1;
        if (encodings === 1) await slow.promise;
        else slow.resolve();
        return new Uint8Array([encodings]);
      },
    });
    const input = predictionInput.parse({
      prompt: 'a cat',
      num_inference_steps: 2,
      seed: 0,
      width: 128,
      height: 128,
    });
    receive({
      type: 'run',
      jobId: 1,
      job: { input, previewCount: 2 } as never,
      cancelFlag: new Int32Array(new SharedArrayBuffer(4)),
    });
    await done.promise;
    expect(sent.filter((event) => Array.isArray(event) && event[0] === 'preview')).toEqual([
      ['preview', 0],
      ['preview', 1],
    ]);
  });
});
