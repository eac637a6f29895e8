import { describe, expect, it } from 'vitest';
import { ServiceError } from '#shared/errors.ts';
import type { GenerateOptions, StepEvent } from '../../../gpu-fn/pipeline/components.ts';
import { NonFiniteError } from '../../../gpu-fn/pipeline/latents.ts';
import { createLcmScheduler } from '../../../gpu-fn/schedulers/lcm.ts';
import { createRandom } from '../../../gpu-fn/tensor/random.ts';
import { createFakePipeline, FAKE_INFO } from '../../helpers/fake-pipeline.ts';

const options: GenerateOptions = {
  prompt: 'a red cat',
  width: 64,
  height: 64,
  numInferenceSteps: 4,
  guidanceScale: 0,
  seed: 7,
  sampler: 'lcm',
  sizePolicy: 'fit',
  background: 'auto',
};
const isAllowed = (change: Partial<GenerateOptions>) =>
  createFakePipeline().pipeline.generate({ ...options, ...change });

describe('PixArtLcmPipeline', () => {
  it('PixArtLcmPipeline.generate() draws the requested size from real tokens and four timesteps', async () => {
    const { pipeline, calls } = createFakePipeline();
    const result = await pipeline.generate(options);
    expect(calls.inputIds).toEqual([[4, 9, 5, 1]]); // ▁a ▁red ▁cat </s>
    expect(calls.predicts.map(({ timestep }) => timestep)).toEqual([999, 759, 499, 259]);
    expect(calls.predicts[0]).toMatchObject({
      height: 8,
      width: 8,
      resolution: [64, 64],
      aspectRatio: 1,
      prompt: { tokenCount: 4 },
    });
    expect(calls.decodes).toHaveLength(1);
    expect(result.image).toMatchObject({ width: 64, height: 64, channels: 3 });
    expect(result.image.data).toHaveLength(64 * 64 * 3);
    expect(result).toMatchObject({ seed: 7, drawn: [64, 64], promptTokens: 4, warnings: [] });
    expect(result.timings).toEqual({ text_ms: 1, denoise_ms: 1, vae_ms: 1, image_ms: 1 });
  });

  it('PixArtLcmPipeline.generate() draws latents first, then the noise of each step, from one stream', async () => {
    const { pipeline, calls } = createFakePipeline();
    await pipeline.generate({ ...options, numInferenceSteps: 2 });
    const random = createRandom(7);
    const first = random.normal(256);
    const schedule = createLcmScheduler({}).schedule(2);
    const noisePred = first.map((x) => 0.5 * x);
    const second = schedule.step({ stepIndex: 0, noisePred, sample: first, random }).prevSample;
    expect(calls.predicts[0]?.latents).toEqual(first);
    expect(calls.predicts[1]?.latents).toEqual(second);
  });

  it('PixArtLcmPipeline.generate() gives the same pixels for the same request, others for another seed', async () => {
    const first = await createFakePipeline().pipeline.generate(options);
    const { pipeline } = createFakePipeline();
    await pipeline.generate({ ...options, seed: 8 });
    const again = await pipeline.generate(options);
    const other = await pipeline.generate({ ...options, seed: 8 });
    expect(again.image).toEqual(first.image);
    expect(other.image.data).not.toEqual(first.image.data);
  });

  it('PixArtLcmPipeline.generate() reports each step with a preview of the predicted picture', async () => {
    const events: StepEvent[] = [];
    const { pipeline, calls } = createFakePipeline();
    await pipeline.generate(options, { onStep: (event) => events.push(event) });
    expect(events.map(({ stepIndex, stepCount }) => [stepIndex, stepCount])).toEqual([
      [0, 4],
      [1, 4],
      [2, 4],
      [3, 4],
    ]);
    const last = events.at(-1)?.preview?.();
    const { latents } = calls.decodes[0]!;
    const sum = [0, 64, 128, 192].reduce((total, i) => total + latents[i]!, 0);
    const grey = Math.round(Math.min(Math.max(sum * 0.125 + 0.5, 0), 1) * 255);
    expect(last).toMatchObject({ width: 8, height: 8, channels: 3 });
    expect([...last!.data.subarray(0, 3)]).toEqual([grey, grey, grey]);
  });

  it('PixArtLcmPipeline.generate() without a latent-to-RGB matrix reports steps without previews', async () => {
    const { pipeline: parts } = createFakePipeline();
    expect(parts.info).toBe(FAKE_INFO);
    const events: StepEvent[] = [];
    const { pipeline } = createFakePipeline({ latentRgb: undefined } as never);
    await pipeline.generate(options, { onStep: (event) => events.push(event) });
    expect(events).toHaveLength(4);
    expect(events.every((event) => !('preview' in event))).toBe(true);
  });

  it('PixArtLcmPipeline.generate() starts no further step once it is aborted', async () => {
    const { pipeline, calls } = createFakePipeline();
    const controller = new AbortController();
    const run = pipeline.generate(options, {
      signal: controller.signal,
      onStep: ({ stepIndex }) => {
        if (stepIndex === 1) controller.abort(new Error('caller left'));
      },
    });
    await expect(run).rejects.toThrow('caller left');
    expect(calls.predicts).toHaveLength(2);
    expect(calls.decodes).toHaveLength(0);
  });

  it('PixArtLcmPipeline.generate() does not decode when it is aborted during the last step', async () => {
    const { pipeline, calls } = createFakePipeline();
    const controller = new AbortController();
    const run = pipeline.generate(options, {
      signal: controller.signal,
      onStep: ({ stepIndex }) => stepIndex === 3 && controller.abort(),
    });
    await expect(run).rejects.toMatchObject({ name: 'AbortError' });
    expect(calls.decodes).toHaveLength(0);
  });

  it('PixArtLcmPipeline.generate() that is aborted beforehand runs no network', async () => {
    const { pipeline, calls } = createFakePipeline();
    const run = pipeline.generate(options, { signal: AbortSignal.abort() });
    await expect(run).rejects.toMatchObject({ name: 'AbortError' });
    expect(calls.inputIds).toEqual([]);
  });

  it('PixArtLcmPipeline.generate() resamples a size that the model cannot draw, and says so', async () => {
    const { pipeline, calls } = createFakePipeline();
    const result = await pipeline.generate({ ...options, width: 192, height: 112 });
    expect(calls.predicts[0]).toMatchObject({ height: 8, width: 12, resolution: [64, 96] });
    expect(result.image).toMatchObject({ width: 192, height: 112 });
    expect(result.drawn).toEqual([96, 64]);
    expect(result.warnings).toEqual([
      {
        code: 'size_resampled',
        param: 'size',
        message: 'Drawn at 96x64 and resampled to 192x112.',
      },
    ]);
  });

  it.each([
    ['auto', 'a cat', 'png', 3],
    ['auto', 'a cat on a transparent background', 'png', 4],
    ['auto', 'A cat on a TRANSPARENT  background', 'webp', 4],
    ['auto', 'a cat on a transparent background', 'jpeg', 3],
    ['transparent', 'a cat', 'png', 4],
    ['opaque', 'a cat on a transparent background', 'png', 3],
  ] as const)(
    'PixArtLcmPipeline.generate() with background %s, "%s" and %s has %i channels',
    async (background, prompt, outputFormat, channels) => {
      const result = await isAllowed({ background, prompt, outputFormat });
      expect(result.image.channels).toBe(channels);
    },
  );

  it('PixArtLcmPipeline.generate() takes the white out of a transparent picture', async () => {
    const { pipeline } = createFakePipeline({}, { alpha: 0 });
    const { image } = await pipeline.generate({ ...options, background: 'transparent' });
    expect(image.data.every((value) => value === 0)).toBe(true);
  });

  it('PixArtLcmPipeline.generate() warns of text that was cut, unknown words and an unused negative prompt', async () => {
    const prompt = `☃ ${'red cat '.repeat(12)}end`;
    const { warnings } = await isAllowed({ prompt, negativePrompt: 'blurry' });
    expect(warnings).toEqual([
      expect.objectContaining({
        code: 'prompt_truncated',
        message: expect.stringContaining('end'),
      }),
      expect.objectContaining({ code: 'unknown_words', message: expect.stringContaining('"☃"') }),
      expect.objectContaining({ code: 'negative_prompt_ignored', param: 'negative_prompt' }),
    ]);
  });

  it.each([
    ['num_inference_steps', { numInferenceSteps: 0 }, 'from 1 to 8'],
    ['num_inference_steps', { numInferenceSteps: 9 }, 'from 1 to 8'],
    ['num_inference_steps', { numInferenceSteps: 1.5 }, 'from 1 to 8'],
    ['scheduler', { sampler: 'euler' }, 'must be one of lcm'],
    ['scheduler', { sampler: 'constructor' }, 'must be one of lcm'],
    ['guidance_scale', { guidanceScale: 4.5 }, 'from 0 to 1'],
    ['guidance_scale', { guidanceScale: Number.NaN }, 'from 0 to 1'],
    ['guidance_scale', { guidanceScale: -1 }, 'from 0 to 1'],
    ['seed', { seed: -1 }, 'from 0 to 4294967295'],
    ['seed', { seed: 2 ** 32 }, 'from 0 to 4294967295'],
    [
      'size',
      { width: 80, sizePolicy: 'exact' },
      '80x64 cannot be drawn by test/fake; it draws 64x64',
    ],
  ] as const)(
    'PixArtLcmPipeline.generate() refuses a bad %s: %j',
    async (param, change, detail) => {
      const error: unknown = await isAllowed(change).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ServiceError);
      expect(error).toMatchObject({ code: 'invalid_parameter', param });
      expect((error as ServiceError).detail).toContain(detail);
    },
  );

  it.each([
    { numInferenceSteps: 1 },
    { numInferenceSteps: 8 },
    { guidanceScale: 1 },
    { seed: 2 ** 32 - 1 },
    { width: 96, sizePolicy: 'exact' },
  ] as const)('PixArtLcmPipeline.generate() allows %j', async (change) => {
    await expect(isAllowed(change)).resolves.toBeDefined();
  });

  it('PixArtLcmPipeline.generate() fails loudly when the transformer gives NaN', async () => {
    const { pipeline, calls } = createFakePipeline({
      transformer: {
        latentChannels: 4,
        predict: ({ latents }) =>
          Promise.resolve(latents.map((x, i) => (i === 5 ? Number.NaN : x))),
      },
    });
    await expect(pipeline.generate(options)).rejects.toThrow(NonFiniteError);
    await expect(pipeline.generate(options)).rejects.toThrow(
      'transformer at step 0: value 5 of 256',
    );
    expect(calls.decodes).toHaveLength(0);
  });

  it('PixArtLcmPipeline.generate() fails loudly when the text encoder overflows', async () => {
    const { pipeline, calls } = createFakePipeline({
      textEncoder: {
        encode: () =>
          Promise.resolve({
            tokenCount: 1,
            promptEmbeds: Float32Array.of(0, Number.POSITIVE_INFINITY),
          }),
      },
    });
    await expect(pipeline.generate(options)).rejects.toThrow(
      'text encoder: value 1 of 2 is Infinity',
    );
    expect(calls.predicts).toHaveLength(0);
  });

  it('PixArtLcmPipeline.generate() fails when the VAE gives a picture of another size', async () => {
    const { pipeline } = createFakePipeline({
      vaeDecoder: {
        channels: 4,
        scaleFactor: 8,
        scalingFactor: 1,
        decode: () => Promise.resolve(new Uint8Array(5)),
      },
    });
    await expect(pipeline.generate(options)).rejects.toThrow('the VAE gave 5 bytes');
  });

  it('PixArtLcmPipeline.dispose() releases the networks, also at the end of an `await using`', async () => {
    const { pipeline, calls } = createFakePipeline();
    await pipeline.dispose();
    expect(calls.disposed).toBe(1);
    {
      await using held = pipeline;
      expect(held.info.id).toBe('test/fake');
    }
    expect(calls.disposed).toBe(2);
  });
});
