/**
 * The PixArt transformer of a bundle: three sessions, cut where their inputs change at different rates, and what is
 * worth remembering between runs.
 */
import type {
  ControlArgs,
  PixArtTransformer,
  PredictArgs,
  PredictionWithVariance,
  PromptConditioning,
} from '../pipeline/components.ts';
import { Recent } from '../recent.ts';
import type { Bundle } from '../runtime/bundle.ts';
import type { GraphName, Manifest } from '../runtime/manifest.ts';
import {
  type Feeds,
  floatData,
  openSession,
  type Session,
  type SessionOptions,
  type Tensor,
} from '../runtime/session.ts';
import { positionEmbedding } from './position-embedding.ts';

/** A prompt as this transformer reads it: cross-attention keys and values of every block. */
export interface PixArtPrompt extends PromptConditioning {
  /** float32 `[1, T, captions]`, the text encoder's output */
  readonly promptEmbeds: Float32Array;
  /** `[L, T, D]` */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** What adapters add to every layer; absent when there are none. */
  readonly adaptation?: Adaptation;
}

/** Adapters as the `*_lora` graphs are fed. */
export interface Adaptation {
  /** equal for equal adapters with equal weights */
  readonly key: string;
  /** `<module>.lora_A` and `.lora_B` of every module */
  readonly feeds: Feeds;
}

/** LCM visits at most 50 timesteps, other samplers up to 100; one entry is L·6·D numbers (0.8 MB for XL). */
const CONDITIONS_MAX = 128;
/** Published models draw at 33 sizes; one entry is N·D numbers (19 MB for XL at 1024²). */
const POSITIONS_MAX = 4;

type Config = Manifest['transformer'];

type Part = 'prompt' | 'condition' | 'denoise';
type ControlPart = 'control_prompt' | 'control' | 'denoise_control';
type Sessions<Name extends string = Part> = Readonly<Record<Name, Session>>;

export class OnnxPixArtTransformer implements PixArtTransformer, AsyncDisposable {
  readonly latentChannels: number;
  readonly predictWithVariance?: (args: PredictArgs) => Promise<PredictionWithVariance>;
  readonly #config: Config;
  readonly #captionChannels: number;
  readonly #sessions: Sessions;
  readonly #disposal: AsyncDisposableStack;
  /** Opened when the first adapter is asked for. */
  #adapted: Promise<Sessions> | undefined;
  readonly #openAdapted: () => Promise<Sessions>;
  /** Opened when the first edge map is asked for. */
  #control: Promise<Sessions<ControlPart>> | undefined;
  readonly #openControl: () => Promise<Sessions<ControlPart>>;
  /** Keys and values of the control network's own blocks, by prompt. */
  readonly #controlTexts = new WeakMap<PixArtPrompt, Feeds>();
  readonly #conditions = new Recent<Feeds>(CONDITIONS_MAX);
  readonly #positions = new Recent<Tensor>(POSITIONS_MAX);

  private constructor(
    config: Config,
    captionChannels: number,
    sessions: Sessions,
    disposal: AsyncDisposableStack,
    openAdapted: () => Promise<Sessions>,
    openControl: () => Promise<Sessions<ControlPart>>,
  ) {
    this.#config = config;
    this.#captionChannels = captionChannels;
    this.#sessions = sessions;
    this.#disposal = disposal;
    this.#openAdapted = openAdapted;
    this.#openControl = openControl;
    this.latentChannels = config.latent_channels;
    if (sessions.denoise.outputNames.includes('variance')) {
      this.predictWithVariance = async (args) => {
        const { noise_pred, variance } = await this.#denoise(args, ['noise_pred', 'variance']);
        return { noisePred: floatData(noise_pred), variance: floatData(variance) };
      };
    }
  }

  static async load(bundle: Bundle, options?: SessionOptions): Promise<OnnxPixArtTransformer> {
    await using stack = new AsyncDisposableStack();
    const open = (name: GraphName) => openSession(bundle.graphPath(name), options);
    const sessions = await openAll(['prompt', 'condition', 'denoise'], open, stack);
    const { transformer, text } = bundle.manifest;
    const owned = stack.move();
    return new OnnxPixArtTransformer(
      transformer,
      text.channels,
      sessions,
      owned,
      () => openAll(['prompt', 'condition', 'denoise'], (part) => open(`${part}_lora`), owned),
      () => openAll(['control_prompt', 'control', 'denoise_control'], open, owned),
    );
  }

  /**
   * Keys and values of a prompt, computed once for all steps.
   *
   * @param promptEmbeds  float32 `[1, T, captions]`, real tokens only
   * @param adaptation    adapters that all steps of this prompt are drawn with
   * @throws {RangeError} when the length is no multiple of the caption channels
   */
  async condition(promptEmbeds: Float32Array, adaptation?: Adaptation): Promise<PixArtPrompt> {
    const tokenCount = promptEmbeds.length / this.#captionChannels;
    if (!Number.isInteger(tokenCount) || tokenCount === 0) {
      throw new RangeError(
        `${promptEmbeds.length} numbers are no text embeddings of width ${this.#captionChannels}`,
      );
    }
    const { keys, values } = await this.#run('prompt', adaptation, {
      prompt_embeds: {
        dtype: 'float32',
        data: promptEmbeds,
        shape: [1, tokenCount, this.#captionChannels],
      },
    });
    return {
      tokenCount,
      promptEmbeds,
      keys: keys!,
      values: values!,
      ...(adaptation && { adaptation }),
    };
  }

  async predict(args: PredictArgs): Promise<Float32Array> {
    const { noise_pred: noisePred } = await this.#denoise(args, ['noise_pred']);
    return floatData(noisePred);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposal.disposeAsync();
  }

  async #denoise(args: PredictArgs, outputs: readonly string[]): Promise<Record<string, Tensor>> {
    const { latents, height, width, prompt } = args;
    const { latent_channels: channels, patch_size: patch } = this.#config;
    if (
      height % patch !== 0 ||
      width % patch !== 0 ||
      latents.length !== channels * height * width
    ) {
      throw new RangeError(
        `latents of ${latents.length} numbers are not [1, ${channels}, ${height}, ${width}] in patches of ${patch}`,
      );
    }
    if (!isPixArtPrompt(prompt)) {
      throw new TypeError('the prompt was not made by this transformer’s condition()');
    }
    const feeds: Feeds = {
      latents: { dtype: 'float32', data: latents, shape: [1, channels, height, width] },
      position_embedding: this.#positionEmbedding(height / patch, width / patch),
      keys: prompt.keys,
      values: prompt.values,
      ...(await this.#condition(args, prompt.adaptation)),
    };
    // At scale 0 the base is left as it is, to the last bit.
    return args.control === undefined || args.control.scale === 0
      ? this.#run('denoise', prompt.adaptation, feeds, outputs)
      : this.#runControlled({ feeds, prompt, control: args.control, outputs });
  }

  /** The step with the control network's residuals, which it computes first. */
  async #runControlled(args: {
    readonly feeds: Feeds;
    readonly prompt: PixArtPrompt;
    readonly control: ControlArgs;
    readonly outputs: readonly string[];
  }): Promise<Record<string, Tensor>> {
    const { feeds, prompt, outputs } = args;
    const { latents, scale } = args.control;
    if (prompt.adaptation !== undefined) {
      throw new TypeError('adapters and a control network do not work together');
    }
    this.#control ??= this.#openControl().catch((error: unknown) => {
      this.#control = undefined; // memory may be there another time
      throw error;
    });
    const sessions = await this.#control;
    const texts = this.#controlTexts.get(prompt) ?? (await controlTexts(sessions, prompt));
    this.#controlTexts.set(prompt, texts);
    const { shape, data } = feeds.latents!;
    if (latents.length !== data.length) {
      throw new RangeError(
        `control latents of ${latents.length} numbers are not [${shape.join(', ')}]`,
      );
    }
    const { final_modulation: _, ...shared } = feeds;
    const { control_residuals: residuals } = await sessions.control.run({
      ...shared,
      keys: firstBlock(prompt.keys),
      values: firstBlock(prompt.values),
      ...texts,
      control_latents: { dtype: 'float32', data: latents, shape },
    });
    return await sessions.denoise_control.run(
      {
        ...feeds,
        control_residuals: residuals!,
        control_scale: scalars([scale], [1]),
      },
      outputs,
    );
  }

  /** `modulation` and `final_modulation`: they depend on the timestep, and on the size with micro-conditions. */
  async #condition(
    { timestep, resolution, aspectRatio, height, width }: PredictArgs,
    adaptation: Adaptation | undefined,
  ): Promise<Feeds> {
    const feeds: Record<string, Tensor> = { timestep: scalars([timestep], [1]) };
    if (this.#config.use_additional_conditions) {
      if (resolution === undefined)
        throw new TypeError('this model needs the resolution in pixels');
      feeds.resolution = scalars(resolution, [1, 2]);
      feeds.aspect_ratio = scalars([aspectRatio ?? height / width], [1, 1]);
    }
    const key = [
      adaptation?.key ?? '',
      ...Object.values(feeds).map(({ data }) => data.join(' ')),
    ].join(' ');
    const known = this.#conditions.get(key);
    if (known !== undefined) return known;
    const outputs = await this.#run('condition', adaptation, feeds);
    this.#conditions.set(key, outputs);
    return outputs;
  }

  /** Runs one part of the network, with adapters if there are any. */
  async #run(
    part: Part,
    adaptation: Adaptation | undefined,
    feeds: Feeds,
    outputs?: readonly string[],
  ): Promise<Record<string, Tensor>> {
    if (adaptation === undefined) return await this.#sessions[part].run(feeds, outputs);
    this.#adapted ??= this.#openAdapted().catch((error: unknown) => {
      this.#adapted = undefined; // memory may be there another time
      throw error;
    });
    const session = (await this.#adapted)[part];
    const updates: Record<string, Tensor> = {};
    for (const name of session.inputNames) {
      const update = adaptation.feeds[name];
      if (update !== undefined) updates[name] = update;
    }
    return await session.run({ ...feeds, ...updates }, outputs);
  }

  #positionEmbedding(rows: number, columns: number): Tensor {
    const key = `${rows}x${columns}`;
    const known = this.#positions.get(key);
    if (known !== undefined) return known;
    const { width, sample_size: sampleSize, patch_size: patch } = this.#config;
    const data = positionEmbedding({
      width,
      rows,
      columns,
      base: Math.floor(sampleSize / patch),
      interpolationScale: this.#config.interpolation_scale,
    });
    const tensor: Tensor = { dtype: 'float32', data, shape: [1, rows * columns, width] };
    this.#positions.set(key, tensor);
    return tensor;
  }
}

async function openAll<Name extends GraphName>(
  names: readonly Name[],
  open: (name: Name) => Promise<Session>,
  stack: AsyncDisposableStack,
): Promise<Sessions<Name>> {
  const sessions: Partial<Record<Name, Session>> = {};
  for (const name of names) sessions[name] = stack.use(await open(name));
  return sessions as Sessions<Name>;
}

async function controlTexts(
  { control_prompt: session }: Sessions<ControlPart>,
  { promptEmbeds, tokenCount }: PixArtPrompt,
): Promise<Feeds> {
  const shape = [1, tokenCount, promptEmbeds.length / tokenCount];
  return await session.run({ prompt_embeds: { dtype: 'float32', data: promptEmbeds, shape } });
}

/** `[L, T, D]` → `[1, T, D]` */
function firstBlock(tensor: Tensor): Tensor {
  const [, tokens, width] = tensor.shape as readonly [number, number, number];
  const data = floatData(tensor).subarray(0, tokens * width);
  return { dtype: 'float32', data, shape: [1, tokens, width] };
}

function isPixArtPrompt(prompt: PromptConditioning): prompt is PixArtPrompt {
  return 'keys' in prompt && 'values' in prompt;
}

function scalars(values: readonly number[], shape: readonly number[]): Tensor {
  return { dtype: 'float32', data: Float32Array.from(values), shape };
}
