/**
 * The PixArt-δ text-to-image pipeline.
 *
 * Knows nothing about HTTP, files or ONNX: it is handed a tokenizer, schedulers and three networks. One
 * generator, seeded by the request, gives the latents and then the noise of every step, in diffusers'
 * order. The same request gives the same pixels.
 */
import { ServiceError } from '#shared/errors.ts';
import { SEED_MAX } from '#shared/limits.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import { toOpaque, unmatteWhite } from '../image/alpha.ts';
import type { Scheduler } from '../schedulers/scheduler.ts';
import { createRandom } from '../tensor/random.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type {
  ControlNetwork,
  GenerateOptions,
  GenerateResult,
  PixArtTransformer,
  Pixels,
  PreparedControl,
  PromptConditioning,
  RunOptions,
  TextEncoder,
  VaeDecoder,
  Warning,
} from './components.ts';
import { assertFinite, initialLatents, type LatentShape } from './latents.ts';
import { type LatentRgb, latentsToRgb } from './preview.ts';
import { preparePrompt, promptWarnings } from './prompt.ts';
import { fitTo, resolveSize } from './resolution.ts';

export interface PipelineParts {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  /** by the sampler's name in `info.samplers` */
  readonly schedulers: ReadonlyMap<string, Scheduler>;
  readonly textEncoder: TextEncoder;
  readonly transformer: PixArtTransformer;
  readonly vaeDecoder: VaeDecoder;
  /** absent: the model follows no edges */
  readonly controlNetwork?: ControlNetwork;
  /** absent: step events carry no preview */
  readonly latentRgb?: LatentRgb;
  /** monotonic milliseconds */
  readonly now?: () => number;
  /** releases the networks */
  readonly dispose: () => Promise<void>;
}

export class PixArtLcmPipeline {
  readonly info: ModelInfo;
  readonly #parts: PipelineParts;
  readonly #now: () => number;

  constructor(parts: PipelineParts) {
    this.info = parts.info;
    this.#parts = parts;
    this.#now = parts.now ?? (() => performance.now());
  }

  /**
   * Draws one picture.
   *
   * @throws {ServiceError} when an option is not possible for this model
   * @throws {NonFiniteError} when a network gives NaN or infinity
   * @throws the reason of `signal` once it is aborted; no further step starts after that
   */
  async generate(options: GenerateOptions, run: RunOptions = {}): Promise<GenerateResult> {
    const { tokenizer, textEncoder, vaeDecoder } = this.#parts;
    const { signal } = run;
    const scheduler = this.#checkSampling(options);
    const { text, keepsAlpha } = preparePrompt(options, this.info);
    const { drawn, warning: sizeWarning } = resolveSize(options, this.info);
    signal?.throwIfAborted();

    const textStart = this.#now();
    const encoding = tokenizer.encode(text);
    const prompt = await textEncoder.encode(encoding.inputIds, options.loras);
    if (prompt.promptEmbeds) assertFinite(prompt.promptEmbeds, 'text encoder');
    signal?.throwIfAborted();

    const denoiseStart = this.#now();
    const shape = this.#latentShape(drawn);
    const control = await this.#prepareControl(options, drawn);
    signal?.throwIfAborted();
    const latents = await this.#denoise({
      options,
      run,
      scheduler,
      prompt,
      shape,
      ...(control && { control }),
    });
    signal?.throwIfAborted();

    const vaeStart = this.#now();
    const { height, width } = shape;
    const data = await vaeDecoder.decode({ latents, height, width });
    const picture = this.#picture(data, drawn);
    signal?.throwIfAborted();

    const imageStart = this.#now();
    const fitted = fitTo(picture, options.width, options.height);
    const image = keepsAlpha ? unmatteWhite(fitted) : toOpaque(fitted);
    const end = this.#now();

    return {
      image,
      ...(control && { edges: fitTo(control.edges, options.width, options.height) }),
      seed: options.seed,
      drawn,
      promptTokens: encoding.inputIds.length,
      warnings: [
        ...promptWarnings(encoding),
        ...(sizeWarning ? [sizeWarning] : []),
        ...negativePromptWarnings(options),
      ],
      timings: {
        text_ms: denoiseStart - textStart,
        denoise_ms: vaeStart - denoiseStart,
        vae_ms: imageStart - vaeStart,
        image_ms: end - imageStart,
      },
    };
  }

  dispose(): Promise<void> {
    return this.#parts.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #denoise(args: {
    readonly options: GenerateOptions;
    readonly run: RunOptions;
    readonly scheduler: Scheduler;
    readonly prompt: PromptConditioning;
    readonly shape: LatentShape;
    readonly control?: PreparedControl;
  }): Promise<Float32Array> {
    const { options, shape, prompt, control } = args;
    const { signal, onStep } = args.run;
    const { transformer, vaeDecoder, latentRgb } = this.#parts;
    const { height, width } = shape;
    const resolution = [height * vaeDecoder.scaleFactor, width * vaeDecoder.scaleFactor] as const;
    const random = createRandom(options.seed);
    const schedule = args.scheduler.schedule(options.numInferenceSteps);
    const stepCount = schedule.timesteps.length;

    let latents = initialLatents(shape, { random, initNoiseSigma: schedule.initNoiseSigma });
    for (const [stepIndex, timestep] of schedule.timesteps.entries()) {
      signal?.throwIfAborted();
      const noisePred = await transformer.predict({
        latents,
        height,
        width,
        timestep,
        prompt,
        resolution,
        aspectRatio: height / width,
        ...(control && { control }),
      });
      assertFinite(noisePred, `transformer at step ${stepIndex}`);
      const { prevSample, denoised } = schedule.step({
        stepIndex,
        noisePred,
        sample: latents,
        random,
      });
      assertFinite(prevSample, `${options.sampler} at step ${stepIndex}`);
      latents = prevSample;
      onStep?.({
        stepIndex,
        stepCount,
        timestep,
        ...(latentRgb && { preview: () => latentsToRgb(denoised, shape, latentRgb) }),
      });
    }
    return latents;
  }

  async #prepareControl(
    { control, seed, loras = [] }: GenerateOptions,
    drawn: readonly [width: number, height: number],
  ): Promise<PreparedControl | undefined> {
    if (control === undefined) return undefined;
    const { controlNetwork } = this.#parts;
    if (controlNetwork === undefined) {
      throw refuse('control_image', `is not for ${this.info.id}, which has no control network`);
    }
    if (loras.some(({ weight }) => weight !== 0)) {
      throw refuse('loras', 'must be empty with control_image');
    }
    const prepared = await controlNetwork.prepare(control, { drawn, seed });
    assertFinite(prepared.latents, 'control latents');
    return prepared;
  }

  /** @returns the scheduler that the request names */
  #checkSampling(options: GenerateOptions): Scheduler {
    const { sampler, numInferenceSteps, guidanceScale } = options;
    const { samplers, guidance } = this.info;
    const range = Object.hasOwn(samplers, sampler) ? samplers[sampler]?.steps : undefined;
    const scheduler = this.#parts.schedulers.get(sampler);
    if (range === undefined || scheduler === undefined) {
      const names = Object.keys(samplers).join(', ');
      throw refuse('scheduler', `must be one of ${names}, not ${JSON.stringify(sampler)}`);
    }
    const { min, max } = range;
    if (
      !Number.isInteger(numInferenceSteps) ||
      numInferenceSteps < min ||
      numInferenceSteps > max
    ) {
      const rule = `must be an integer from ${min} to ${max} with ${sampler}`;
      throw refuse('num_inference_steps', `${rule}, not ${numInferenceSteps}`);
    }
    // At or below 1 there is no guidance, which every model can do.
    const guided = !(guidanceScale >= 0 && guidanceScale <= 1);
    if (guided && !(guidanceScale >= guidance.min && guidanceScale <= guidance.max)) {
      const rule = `must be a number from ${guidance.min} to ${guidance.max}`;
      throw refuse('guidance_scale', `${rule}, not ${guidanceScale}`);
    }
    if (!Number.isInteger(options.seed) || options.seed < 0 || options.seed > SEED_MAX) {
      throw refuse('seed', `must be an integer from 0 to ${SEED_MAX}, not ${options.seed}`);
    }
    return scheduler;
  }

  #latentShape([width, height]: readonly [width: number, height: number]): LatentShape {
    const { scaleFactor } = this.#parts.vaeDecoder;
    const channels = this.#parts.transformer.latentChannels;
    return { channels, height: height / scaleFactor, width: width / scaleFactor };
  }

  #picture(data: Uint8Array, [width, height]: readonly [width: number, height: number]): Pixels {
    const { channels } = this.#parts.vaeDecoder;
    if (data.length !== width * height * channels) {
      throw new RangeError(
        `the VAE gave ${data.length} bytes, not ${width} × ${height} × ${channels}`,
      );
    }
    return { data, width, height, channels };
  }
}

/** Latent consistency models were distilled with guidance inside: there is nothing to steer away from. */
function negativePromptWarnings({ negativePrompt = '', sampler }: GenerateOptions): Warning[] {
  if (negativePrompt.trim() === '') return [];
  const message = `The sampler ${sampler} works without guidance and ignores the negative prompt.`;
  return [{ code: 'negative_prompt_ignored', message, param: 'negative_prompt' }];
}

function refuse(param: string, detail: string): ServiceError {
  return new ServiceError('invalid_parameter', { detail, param });
}
