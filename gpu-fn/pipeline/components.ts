/**
 * What the pipeline expects of the three networks, and what it promises its callers.
 *
 * `gpu-fn/models/` implements the networks on ONNX Runtime; tests implement them in plain arithmetic.
 * This file knows nothing about graphs, files, HTTP or pictures' containers.
 */

/** What the transformer keeps of one prompt: embeddings, or the cross-attention keys and values. */
export interface PromptConditioning {
  /** Real tokens, the end token included; pads are dropped before the encoder (exact, and faster). */
  readonly tokenCount: number;
  /** float32 `[1, T, C]`, when the encoder shows them; they are checked for NaN and infinity */
  readonly promptEmbeds?: Float32Array;
}

/** An adapter and how strongly it is applied, −2…2. */
export interface AppliedLora {
  readonly id: string;
  readonly weight: number;
}

export interface TextEncoder {
  /**
   * @param inputIds  int32 `[T]`, real tokens and the end token, no pads
   * @param loras     adapters that every step of this prompt is drawn with; default none
   * @throws {ServiceError} `adapter_not_found` or `adapter_invalid`
   */
  encode(inputIds: Int32Array, loras?: readonly AppliedLora[]): Promise<PromptConditioning>;
}

export interface PredictArgs {
  /** float32 `[1, C, H, W]`, not modified */
  readonly latents: Float32Array;
  /** latent rows H: image height / VAE scale factor */
  readonly height: number;
  /** latent columns W */
  readonly width: number;
  /** training timestep, 0–999 */
  readonly timestep: number;
  readonly prompt: PromptConditioning;
  /** image `[height, width]` in pixels after binning; only models with micro-conditions read it */
  readonly resolution?: readonly [height: number, width: number];
  /** height / width, read together with `resolution` */
  readonly aspectRatio?: number;
  /** Latents of an edge map that the prediction follows. */
  readonly control?: ControlArgs;
}

export interface ControlArgs {
  /** float32 `[1, C, H, W]`, of the size of the drawing's */
  readonly latents: Float32Array;
  /** 0–2: 0 is not at all, 1 as it was trained */
  readonly scale: number;
}

export interface EdgeDetector {
  /**
   * @param image  float32 `[1, 3, height, width]`, RGB, 0–1; sides in multiples of 16
   * @returns      float32 `[height, width]`, 0–1: how much each pixel is an edge
   */
  detect(args: {
    readonly image: Float32Array;
    readonly height: number;
    readonly width: number;
  }): Promise<Float32Array>;
}

export interface PixArtTransformer {
  readonly latentChannels: number;
  /** @returns float32 `[1, C, H, W]`: epsilon, velocity or sample; a learned sigma is already dropped */
  predict(args: PredictArgs): Promise<Float32Array>;
  /** Only of models with a learned variance: the same, and the variance, −1…1 between its two bounds. */
  readonly predictWithVariance?: (args: PredictArgs) => Promise<PredictionWithVariance>;
}

export interface PredictionWithVariance {
  /** float32 `[1, C, H, W]` */
  readonly noisePred: Float32Array;
  /** float32 `[1, C, H, W]` */
  readonly variance: Float32Array;
}

/** A picture whose edges the drawing follows. */
export interface Control {
  readonly image: Pixels;
  /** 0–2 */
  readonly scale: number;
}

export interface PreparedControl extends ControlArgs {
  /** What was found, at the size that is drawn. */
  readonly edges: Pixels;
}

/** Only of models with a control network. */
export interface ControlNetwork {
  prepare(
    control: Control,
    options: {
      readonly drawn: readonly [width: number, height: number];
      readonly seed: number;
    },
  ): Promise<PreparedControl>;
}

export interface DecodeArgs {
  /** float32 `[1, C, H, W]` as the scheduler left them; the decoder divides by `scalingFactor` */
  readonly latents: Float32Array;
  readonly height: number;
  readonly width: number;
}

export interface VaeDecoder {
  /** 3 = RGB; 4 = RGB flattened on white, and alpha */
  readonly channels: 3 | 4;
  /** image pixels per latent cell along one side, 8 for the published VAE */
  readonly scaleFactor: number;
  readonly scalingFactor: number;
  /** @returns uint8 `[H·scaleFactor, W·scaleFactor, channels]`: clamp(x/2 + 0.5)·255, half to even */
  decode(args: DecodeArgs): Promise<Uint8Array>;
}

/** The distribution of a picture's latents. */
export interface LatentDistribution {
  /** float32 `[1, C, H/f, W/f]`, before the scaling factor */
  readonly mean: Float32Array;
  /** the same shape, −30…20 */
  readonly logvar: Float32Array;
}

export interface VaeEncoder {
  /** @param sample  float32 `[1, channels, height, width]`, −1…1; sides in pixels, multiples of the scale factor */
  encode(args: {
    readonly sample: Float32Array;
    readonly height: number;
    readonly width: number;
  }): Promise<LatentDistribution>;
}

/** An image in memory, rows from the top, channels interleaved. */
export interface Pixels {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** 3 = RGB, 4 = RGBA with straight (not premultiplied) alpha */
  readonly channels: 3 | 4;
}

/** Which part of a picture is redrawn. */
export interface Mask {
  /** uint8 `[height, width]`: 255 is redrawn, 0 is kept */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** A picture to start from. */
export interface Edit {
  readonly image: Pixels;
  /** of the picture's size; absent redraws all of it */
  readonly mask?: Mask;
  /** 0–1: 0 keeps the picture, 1 starts from noise */
  readonly strength: number;
}

export interface GenerateOptions {
  readonly prompt: string;
  /** Needs guidance above 1; without it is ignored, which a warning says. */
  readonly negativePrompt?: string;
  /** pixels */
  readonly width: number;
  readonly height: number;
  readonly numInferenceSteps: number;
  readonly guidanceScale: number;
  /** uint32; means the same as `torch.Generator('cpu').manual_seed(seed)` in diffusers */
  readonly seed: number;
  /** a key of `ModelInfo.samplers` */
  readonly sampler: string;
  readonly sizePolicy: 'fit' | 'exact';
  readonly background: 'auto' | 'transparent' | 'opaque';
  readonly control?: Control;
  /** Adapters, in the order in which their updates are added. Default none. */
  readonly loras?: readonly AppliedLora[];
  /** The container that the picture is meant for: JPEG has no alpha, so `auto` drops it. Default `png`. */
  readonly outputFormat?: ImageFormat;
  /** a name of `ModelInfo.styles` */
  readonly style?: string;
  readonly edit?: Edit;
}

export type ImageFormat = 'png' | 'jpeg' | 'webp';

export interface Warning {
  readonly code:
    | 'prompt_truncated'
    | 'size_resampled'
    | 'unknown_words'
    | 'negative_prompt_ignored';
  readonly message: string;
  readonly param?: string;
}

/** One denoising step that has just ended. */
export interface StepEvent {
  /** counts from 0 */
  readonly stepIndex: number;
  readonly stepCount: number;
  readonly timestep: number;
  /** A small RGB picture of the predicted image; absent when the model has no latent-to-RGB matrix. */
  readonly preview?: () => Pixels;
}

export interface RunOptions {
  /** Looked at before each stage and each step: an aborted run starts no further one. */
  readonly signal?: AbortSignal;
  readonly onStep?: (event: StepEvent) => void;
}

export interface GenerateResult {
  readonly image: Pixels;
  /** The edge map that the drawing followed, at the size that was asked for; only with `control`. */
  readonly edges?: Pixels;
  readonly seed: number;
  readonly warnings: readonly Warning[];
  /** wall-clock milliseconds; `image_ms` covers resizing and alpha, not the container */
  readonly timings: {
    readonly text_ms: number;
    readonly denoise_ms: number;
    readonly vae_ms: number;
    readonly image_ms: number;
  };
  /** `[width, height]` that the model drew, before any resampling */
  readonly drawn: readonly [width: number, height: number];
  /** tokens that the text encoder saw, the end token included */
  readonly promptTokens: number;
}
