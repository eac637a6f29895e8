/**
 * From a parsed request to the pictures that answer it: every default filled in, every limit of the model checked.
 *
 * The spelling of the wire ends here; what is keyed and sent on is made here and nowhere else.
 */
import { ServiceError } from '#shared/errors.ts';
import { PIXELS_MAX, SEED_MAX } from '#shared/limits.ts';
import { normalizePrompt } from '#shared/prompt.ts';
import { parsePromptFlags } from '#shared/prompt-flags.ts';
import {
  deriveSeed,
  type Generation,
  promptHash,
  type UnseededGeneration,
} from '#shared/prompt-hash.ts';
import type { ImageFormat } from '#shared/schemas/fields.ts';
import {
  type GenerateRequest,
  generateRequest,
  OPENAI_STYLES,
  parseSize,
  type Quality,
  type Visibility,
} from '#shared/schemas/generate.ts';
import type { ModelInfo, SamplerInfo } from '#shared/schemas/model.ts';
import type { Warning } from '#shared/schemas/problem.ts';
import { type Size, sizeOfFlags } from '#shared/sizes.ts';
import type { Config } from './config.ts';
import type { JobSpec } from './job-protocol.ts';

/** A request that can be answered. */
export interface GenerationPlan {
  readonly model: ModelInfo;
  readonly base: UnseededGeneration;
  /** Account of pictures that are private. */
  readonly owner: string | undefined;
  /** Undefined: derived from the request, or drawn at random. */
  readonly seed: number | undefined;
  readonly count: number;
  readonly sizePolicy: 'fit' | 'exact';
  readonly quality: 'low' | 'medium' | 'high';
  readonly responseFormat: 'b64_json' | 'url';
  readonly stream: boolean;
  readonly partialImages: number;
  readonly safetyIdentifier: string | null;
  readonly warnings: readonly Warning[];
}

/** One picture of a plan. */
export interface Picture {
  readonly index: number;
  readonly generation: Generation;
  readonly cacheKey: string;
}

const ALIAS_PATTERN = /^(?:dall-e|gpt-image|chatgpt-image)-[A-Za-z0-9._-]+$/;
const NAMES_SHOWN_MAX = 8;
const QUALITY_STEPS = { low: 2, medium: 4, high: 8 } as const;
const QUALITY_LEVELS: Record<Quality, keyof typeof QUALITY_STEPS> = {
  auto: 'medium',
  low: 'low',
  medium: 'medium',
  standard: 'medium',
  high: 'high',
  hd: 'high',
  xhigh: 'high',
  max: 'high',
};

export interface PlanOptions {
  readonly config: Pick<
    Config,
    'models' | 'defaultModel' | 'modelAliases' | 'visibilityDefault' | 'urlSigningKeys'
  >;
  /** Who asks: the account that shares its pictures. */
  readonly account: string;
  /** With which key: private pictures are shared with no other. */
  readonly keyId: string;
  /** Members of the body that the schema does not list. */
  readonly unknownNames: readonly string[];
}

/** @throws {ServiceError} `model_not_found` or `invalid_parameter`, naming the field */
export function planGeneration(request: GenerateRequest, options: PlanOptions): GenerationPlan {
  const { config, account, keyId, unknownNames } = options;
  const warnings: Warning[] = [];
  if (unknownNames.length > 0) warnings.push(unknownParameters(unknownNames));
  const model = chooseModel(request.model ?? undefined, config, warnings);
  const { scheduler, sampler } = chooseSampler(request, model);
  const steps = chooseSteps(request, scheduler, sampler);
  const guidance = chooseGuidance(request, model);
  const { text, flagSize } = readFlags(request.prompt, model, warnings);
  const [width, height] = chooseSize(request, model, flagSize);
  const style = chooseStyle(request, model);
  const format = request.output_format === 'jpg' ? 'jpeg' : (request.output_format ?? 'png');
  const prompt = normalizePrompt(text);
  const negativePrompt = normalizePrompt(request.negative_prompt ?? '');
  if (negativePrompt !== '' && guidance === 0) {
    warnings.push({
      code: 'negative_prompt_ignored',
      message: 'Without guidance a negative prompt has no effect; set guidance_scale above 1.',
      param: 'negative_prompt',
    });
  }
  const visibility = request.visibility ?? config.visibilityDefault;
  if (
    visibility === 'private' &&
    request.response_format === 'url' &&
    config.urlSigningKeys.length === 0
  ) {
    throw invalid(
      'response_format',
      'Private pictures have a URL only where URL_SIGNING_KEYS is set; ask for b64_json.',
    );
  }
  return {
    model,
    base: {
      prompt,
      negative_prompt: guidance === 0 ? '' : negativePrompt,
      width,
      height,
      num_inference_steps: steps.count,
      guidance_hundredths: guidance,
      scheduler,
      model: model.id,
      revision: model.revision,
      numeric_class: model.numeric_class,
      output_format: format,
      output_quality: chooseFileQuality(request, format),
      background: chooseBackground(request, model, format, prompt),
      metadata: request.metadata ?? 'minimal',
      ...(style !== undefined && { style }),
      partition: partitionOf(visibility, { account, keyId }),
    },
    owner: visibility === 'private' ? account : undefined,
    seed: request.seed ?? undefined,
    count: request.n ?? 1,
    sizePolicy: request.size_policy ?? 'fit',
    quality: steps.level,
    responseFormat: request.response_format ?? 'b64_json',
    stream: request.stream ?? false,
    partialImages: request.partial_images ?? 0,
    safetyIdentifier: request.safety_identifier ?? null,
    warnings,
  };
}

/** Picture `i` uses seed + i (mod 2³²), so it is the same picture as that of a request for one with that seed. */
export async function listPictures(
  plan: GenerationPlan,
  { randomSeed }: { readonly randomSeed: (() => number) | undefined },
): Promise<Picture[]> {
  const first = plan.seed ?? randomSeed?.() ?? (await deriveSeed(plan.base));
  return Promise.all(
    Array.from({ length: plan.count }, async (_, index) => {
      const generation = { ...plan.base, seed: (first + index) % (SEED_MAX + 1) };
      return { index, generation, cacheKey: await promptHash(generation) };
    }),
  );
}

/** What the function is sent for one picture. */
export function toPredictionInput(plan: GenerationPlan, { generation }: Picture): JobSpec['input'] {
  return {
    prompt: generation.prompt,
    negative_prompt: generation.negative_prompt,
    seed: generation.seed,
    width: generation.width,
    height: generation.height,
    num_inference_steps: generation.num_inference_steps,
    guidance_scale: generation.guidance_hundredths / 100,
    scheduler: generation.scheduler,
    num_outputs: 1,
    output_format: generation.output_format,
    output_quality: generation.output_quality,
    size_policy: plan.sizePolicy,
    background: generation.background,
    ...(generation.style !== undefined && { style: generation.style }),
    ...(generation.metadata !== 'minimal' && { metadata: generation.metadata }),
  };
}

/** Names that the schema does not list. */
export function findUnknownNames(body: object): string[] {
  return Object.keys(body).filter((name) => !Object.hasOwn(generateRequest.shape, name));
}

/** Model that draws: by id, the default, or the default under a name that OpenAI clients know. */
function chooseModel(
  name: string | undefined,
  { models, defaultModel, modelAliases }: PlanOptions['config'],
  warnings: Warning[],
): ModelInfo {
  if (name === undefined) return defaultModel;
  const model = models.find(({ id }) => id === name);
  if (model !== undefined) return model;
  if (!modelAliases || !ALIAS_PATTERN.test(name)) {
    throw new ServiceError('model_not_found', {
      detail: `The model ${name} is not known. GET /v1/models lists the models.`,
      param: 'model',
    });
  }
  warnings.push({
    code: 'model_aliased',
    message: `${name} stands for ${defaultModel.id} here.`,
    param: 'model',
  });
  return defaultModel;
}

/** Who finds the picture again by asking for the same. */
function partitionOf(
  visibility: Visibility,
  { account, keyId }: { readonly account: string; readonly keyId: string },
): string {
  switch (visibility) {
    case 'public':
      return 'public';
    case 'account':
      return `account:${account}`;
    case 'private':
      return `private:${account}:${keyId}`;
    default:
      return visibility satisfies never;
  }
}

function chooseSampler(
  request: GenerateRequest,
  model: ModelInfo,
): { scheduler: string; sampler: SamplerInfo } {
  const scheduler = request.scheduler ?? model.default_sampler;
  const sampler = Object.hasOwn(model.samplers, scheduler) ? model.samplers[scheduler] : undefined;
  if (sampler !== undefined) return { scheduler, sampler };
  const names = Object.keys(model.samplers).join(', ');
  throw invalid(
    'scheduler',
    `scheduler must be one of ${names} with ${model.id}, not ${scheduler}.`,
  );
}

/** OpenAI's two words are accepted without effect; others are templates that the model lists. */
function chooseStyle({ style }: GenerateRequest, model: ModelInfo): string | undefined {
  if (style == null || OPENAI_STYLES.some((word) => word === style)) return undefined;
  if (model.styles?.includes(style)) return style;
  const names = model.styles?.join(', ') ?? '';
  const rule = names === '' ? `${model.id} has no styles` : `${model.id} has ${names}`;
  throw invalid('style', `style ${style} cannot be used: ${rule}.`);
}

/** What the prompt is without the flags at its end, and the size that they ask for. */
function readFlags(
  prompt: string,
  model: ModelInfo,
  warnings: Warning[],
): { text: string; flagSize: Size | undefined } {
  const { prompt: text, fault, droppedText, ...flags } = parsePromptFlags(prompt);
  if (fault !== undefined) throw invalid('prompt', `prompt: ${fault}.`);
  if (text.trim() === '') {
    throw new ServiceError('prompt_empty', { param: 'prompt', detail: 'prompt holds only flags.' });
  }
  if (droppedText !== '') {
    const message = `The prompt ends at its first flag; this part was not used: "${droppedText}".`;
    warnings.push({ code: 'prompt_truncated', message, param: 'prompt' });
  }
  return { text, flagSize: sizeOfFlags(flags, model) };
}

function chooseSteps(
  request: GenerateRequest,
  scheduler: string,
  sampler: SamplerInfo,
): { count: number; level: keyof typeof QUALITY_STEPS } {
  const { min, max, default: usual } = sampler.steps;
  const clamp = (count: number) => Math.min(Math.max(count, min), max);
  const stepsOf = (level: keyof typeof QUALITY_STEPS) =>
    sampler.quality?.[level] ?? clamp(level === 'medium' ? usual : QUALITY_STEPS[level]);
  const given = (['num_inference_steps', 'steps', 'step'] as const).filter(
    (name) => typeof request[name] === 'number',
  );
  const [name, ...others] = given;
  if (name === undefined) {
    const level = QUALITY_LEVELS[request.quality ?? 'auto'];
    return { count: stepsOf(level), level };
  }
  const count = request[name]!;
  const other = others.find((alias) => request[alias] !== count);
  if (other !== undefined) {
    throw invalid(other, `${other} ${request[other]} contradicts ${name} ${count}.`);
  }
  if (count < min || count > max) {
    throw invalid(
      name,
      `${name} must be an integer from ${min} to ${max} with ${scheduler}, not ${count}.`,
    );
  }
  if (count <= stepsOf('low')) return { count, level: 'low' };
  return { count, level: count >= stepsOf('high') ? 'high' : 'medium' };
}

/** Guidance in hundredths; 1 and below mean none, which every model can do. */
function chooseGuidance(request: GenerateRequest, model: ModelInfo): number {
  const { min, max, default: usual } = model.guidance;
  const scale = request.guidance_scale ?? usual;
  if (scale <= 1) return 0;
  if (scale < min || scale > max) {
    const allowed = max <= 1 ? 'at most 1, which means none' : `from ${min} to ${max}`;
    throw invalid(
      'guidance_scale',
      `guidance_scale must be ${allowed} with ${model.id}, not ${scale}.`,
    );
  }
  return Math.round(scale * 100);
}

/** Members of the request, then flags in the prompt, then the native size. */
function chooseSize(
  request: GenerateRequest,
  model: ModelInfo,
  flagSize: Size | undefined,
): readonly [number, number] {
  const named = parseSize(request.size ?? 'auto');
  const { width, height } = request;
  if (((width ?? undefined) === undefined) !== ((height ?? undefined) === undefined)) {
    const missing = typeof width === 'number' ? 'height' : 'width';
    throw new ServiceError('missing_parameter', {
      detail: `width and height go together; ${missing} is missing.`,
      param: missing,
    });
  }
  const sides =
    typeof width === 'number' && typeof height === 'number'
      ? ([width, height] as const)
      : undefined;
  if (named !== undefined && sides !== undefined && String(named) !== String(sides)) {
    throw invalid(
      'size',
      `size ${named.join('x')} contradicts width and height ${sides.join('x')}.`,
    );
  }
  const size = named ?? sides ?? flagSize ?? model.native_size;
  const param = named === undefined ? 'width' : 'size';
  const pixels = size[0] * size[1];
  if (pixels > PIXELS_MAX) {
    throw invalid(param, `${size.join('x')} has ${pixels} pixels, ${PIXELS_MAX} are allowed.`);
  }
  if (request.size_policy === 'exact' && model.sizes !== 'bins') {
    const isDrawn = model.sizes.some(([w, h]) => w === size[0] && h === size[1]);
    if (!isDrawn) {
      const list = model.sizes.map((allowed) => allowed.join('x')).join(', ');
      throw invalid(param, `${model.id} draws ${list}, not ${size.join('x')}.`);
    }
  }
  return size;
}

function chooseFileQuality(request: GenerateRequest, format: ImageFormat): number {
  const compression = request.output_compression ?? 100;
  if (format !== 'png') return Math.max(compression, 1);
  if (compression !== 100) {
    throw invalid(
      'output_compression',
      `output_compression applies to jpeg and webp; png takes only 100, not ${compression}.`,
    );
  }
  return 100;
}

/** `auto` is transparent where the prompt asks for it in words and model and format can hold it. */
function chooseBackground(
  request: GenerateRequest,
  model: ModelInfo,
  format: ImageFormat,
  prompt: string,
): 'opaque' | 'transparent' {
  const canHold = model.alpha && format !== 'jpeg';
  if (request.background === 'transparent' && !canHold) {
    const reason = model.alpha ? 'jpeg holds no transparency' : `${model.id} draws none`;
    throw invalid('background', `background must be auto or opaque: ${reason}.`);
  }
  if (request.background === 'opaque' || !canHold) return 'opaque';
  if (request.background === 'transparent') return 'transparent';
  return /\btransparent background\b/i.test(prompt) ? 'transparent' : 'opaque';
}

function unknownParameters(names: readonly string[]): Warning {
  const shown = names.slice(0, NAMES_SHOWN_MAX).map((name) => name.slice(0, 64).toWellFormed());
  const more = names.length > shown.length ? ` and ${names.length - shown.length} more` : '';
  return {
    code: 'unknown_parameter',
    message: `Ignored: ${shown.join(', ')}${more}.`,
    ...(names.length === 1 && { param: shown[0]! }),
  };
}

function invalid(param: string, detail: string): ServiceError {
  return new ServiceError('invalid_parameter', { detail, param });
}
