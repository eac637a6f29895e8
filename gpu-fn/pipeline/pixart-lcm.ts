/**
 * The PixArt pipeline: from a prompt, or a prompt and a picture, to a picture.
 *
 * Knows nothing about HTTP, files or ONNX: it is handed a tokenizer, schedulers and the networks. One
 * generator, seeded by the request, gives the latents and then the noise of every step, in diffusers'
 * order. The same request gives the same pixels.
 */
import { ServiceError } from '#shared/errors.ts';
import { SEED_MAX } from '#shared/limits.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import type { Size } from '#shared/sizes.ts';
import { toOpaque, unmatteWhite } from '../image/alpha.ts';
import type { DenoisingSchedule, Scheduler } from '../schedulers/scheduler.ts';
import { createRandom, type Random } from '../tensor/random.ts';
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
  VaeEncoder,
  Warning,
} from './components.ts';
import {
  compose,
  encodePicture,
  latentMask,
  mixLatents,
  type PreparedEdit,
  prepareEdit,
} from './edit.ts';
import { guide, isGuided } from './guidance.ts';
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
  /** absent: the model cannot start from a picture */
  readonly vaeEncoder?: VaeEncoder;
  /** absent: step events carry no preview */
  readonly latentRgb?: LatentRgb;
  /** monotonic milliseconds */
  readonly now?: () => number;
  /** releases the networks */
  readonly dispose: () => Promise<void>;
}

/** What stays the same in all steps of one run. */
interface Run {
  readonly options: GenerateOptions;
  readonly run: RunOptions;
  readonly scheduler: Scheduler;
  readonly prompt: PromptConditioning;
  /** of the negative prompt; absent without guidance */
  readonly negative?: PromptConditioning;
  readonly shape: LatentShape;
  readonly edit?: PreparedEdit;
  /** edges that both predictions of a step follow */
  readonly control?: PreparedControl;
}

/** Where a run begins, and what holds it to the picture that it began from. */
interface Start {
  readonly latents: Float32Array;
  /** After a step: the latents with what the mask keeps put back. */
  readonly hold: (latents: Float32Array, nextStepIndex: number) => Float32Array;
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
    const { tokenizer, vaeDecoder } = this.#parts;
    const { signal } = run;
    const scheduler = this.#checkSampling(options);
    const { text, negativeText, keepsAlpha, warnings } = preparePrompt(options, this.info);
    const { drawn, warning: sizeWarning } = resolveSize(options, this.info);
    const edit = options.edit && this.#prepareEdit(options, drawn);
    signal?.throwIfAborted();

    const textStart = this.#now();
    const encoding = tokenizer.encode(text);
    const prompt = await this.#encode(encoding.inputIds, options.loras);
    const negativeEncoding = isGuided(options.guidanceScale)
      ? tokenizer.encode(negativeText)
      : undefined;
    const negative =
      negativeEncoding && (await this.#encode(negativeEncoding.inputIds, options.loras));
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
      ...(negative && { negative }),
      shape,
      ...(edit && { edit }),
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
    const mask = edit?.referenceMask;
    const whole = mask ? compose(fitted, edit.reference, mask) : fitted;
    const image = keepsAlpha ? unmatteWhite(whole) : toOpaque(whole);
    const end = this.#now();

    return {
      image,
      ...(control && { edges: fitTo(control.edges, options.width, options.height) }),
      seed: options.seed,
      drawn,
      promptTokens: encoding.inputIds.length,
      warnings: [
        ...warnings,
        ...promptWarnings(encoding),
        ...(sizeWarning ? [sizeWarning] : []),
        ...(negativeEncoding
          ? promptWarnings(negativeEncoding, 'negative_prompt')
          : negativePromptWarnings(options)),
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

  async #encode(
    inputIds: Int32Array,
    loras: GenerateOptions['loras'],
  ): Promise<PromptConditioning> {
    const conditioning = await this.#parts.textEncoder.encode(inputIds, loras);
    if (conditioning.promptEmbeds) assertFinite(conditioning.promptEmbeds, 'text encoder');
    return conditioning;
  }

  async #denoise(args: Run): Promise<Float32Array> {
    const { options, shape, scheduler } = args;
    const { signal, onStep } = args.run;
    const { latentRgb } = this.#parts;
    const random = createRandom(options.seed);
    const strength = args.edit ? options.edit!.strength : 1;
    const schedule = scheduler.schedule(options.numInferenceSteps, { strength });
    const stepCount = schedule.timesteps.length;

    const start = await this.#start(args, { schedule, random });
    let { latents } = start;
    for (const [stepIndex, timestep] of schedule.timesteps.entries()) {
      signal?.throwIfAborted();
      const prediction = await this.#predict(args, { latents, timestep });
      assertFinite(prediction.noisePred, `transformer at step ${stepIndex}`);
      const { prevSample, denoised } = schedule.step({
        stepIndex,
        ...prediction,
        sample: latents,
        random,
      });
      assertFinite(prevSample, `${options.sampler} at step ${stepIndex}`);
      // A run of one step gives the image that it predicts, whatever noise the sampler would leave.
      const next = options.numInferenceSteps === 1 ? denoised : prevSample;
      latents = start.hold(next, stepIndex + 1);
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

  /** Noise, or a picture with the noise of the first step; the draws are in the order of the reference. */
  async #start(
    { shape, edit, options }: Run,
    { schedule, random }: { readonly schedule: DenoisingSchedule; readonly random: Random },
  ): Promise<Start> {
    const { initNoiseSigma } = schedule;
    if (edit === undefined) {
      const latents = initialLatents(shape, { random, initNoiseSigma });
      return { latents, hold: (next) => next };
    }
    const { vaeEncoder, vaeDecoder } = this.#parts;
    const image = await encodePicture(edit.drawn, { vaeEncoder: vaeEncoder!, vaeDecoder, random });
    assertFinite(image, 'VAE encoder');
    const noise = initialLatents(shape, { random, initNoiseSigma });
    const latents =
      options.edit?.strength === 1 ? noise : schedule.addNoise({ image, noise, stepIndex: 0 });
    if (edit.drawnMask === undefined) return { latents, hold: (next) => next };
    const cells = latentMask(edit.drawnMask, shape);
    return {
      latents,
      hold: (next, stepIndex) =>
        mixLatents(next, schedule.addNoise({ image, noise, stepIndex }), cells),
    };
  }

  /** One prediction, or two that guidance makes one of. */
  async #predict(
    { options, run, scheduler, prompt, negative, shape, control }: Run,
    { latents, timestep }: { readonly latents: Float32Array; readonly timestep: number },
  ): Promise<{ noisePred: Float32Array; variance?: Float32Array }> {
    const { transformer, vaeDecoder } = this.#parts;
    const { height, width, channels } = shape;
    const args = {
      latents,
      height,
      width,
      timestep,
      prompt,
      resolution: [height * vaeDecoder.scaleFactor, width * vaeDecoder.scaleFactor],
      aspectRatio: height / width,
      ...(control && { control }),
    } as const;
    const conditional =
      scheduler.readsVariance && transformer.predictWithVariance
        ? await transformer.predictWithVariance(args)
        : { noisePred: await transformer.predict(args) };
    if (negative === undefined) return conditional;
    run.signal?.throwIfAborted();
    const unconditional = await transformer.predict({ ...args, prompt: negative });
    const { guidedChannels = channels } = scheduler;
    const noisePred = guide(conditional.noisePred, unconditional, {
      scale: options.guidanceScale,
      guidedLength: guidedChannels * height * width,
    });
    return { ...conditional, noisePred };
  }

  /** @throws {ServiceError} when the model has no encoder, or mask and picture differ in size */
  #prepareEdit({ edit, width, height }: GenerateOptions, drawn: Size): PreparedEdit {
    const { image, mask, strength } = edit!;
    if (this.#parts.vaeEncoder === undefined) {
      throw refuse('image', `is not for ${this.info.id}, which has no VAE encoder`);
    }
    if (!(strength >= 0 && strength <= 1)) {
      throw refuse('strength', `must be a number from 0 to 1, not ${strength}`);
    }
    if (mask && (mask.width !== image.width || mask.height !== image.height)) {
      const sizes = `${image.width}x${image.height}, not ${mask.width}x${mask.height}`;
      throw refuse('mask', `must have the size of the image, ${sizes}`);
    }
    const { channels } = this.#parts.vaeDecoder;
    return prepareEdit(edit!, { requested: [width, height], drawn, channels });
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

/** Without guidance there is nothing to steer away from. */
function negativePromptWarnings({ negativePrompt = '' }: GenerateOptions): Warning[] {
  if (negativePrompt.trim() === '') return [];
  const message = 'Without guidance above 1 the negative prompt is not used.';
  return [{ code: 'negative_prompt_ignored', message, param: 'negative_prompt' }];
}

function refuse(param: string, detail: string): ServiceError {
  return new ServiceError('invalid_parameter', { detail, param });
}
