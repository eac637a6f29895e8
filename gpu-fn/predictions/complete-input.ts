/**
 * The input of a prediction with nothing left open: the model's defaults filled in, its limits checked.
 *
 * `shared/schemas/prediction-input.ts` holds what every model accepts; this holds what the loaded one does.
 */
import { ServiceError } from '#shared/errors.ts';
import { SEED_MAX, STRENGTH_DEFAULT } from '#shared/limits.ts';
import { parsePromptFlags } from '#shared/prompt-flags.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import type { PredictionInput } from '#shared/schemas/prediction-input.ts';
import { sizeOfFlags } from '#shared/sizes.ts';

/** Fields without a default: absent means that nobody asked for it. */
type AbsentField = 'image' | 'mask' | 'style' | 'control_image' | 'model';

/** A prediction's input once every field that has a default has a value. */
export type CompleteInput = {
  readonly [Field in Exclude<keyof PredictionInput, AbsentField>]-?: NonNullable<
    PredictionInput[Field]
  >;
} & {
  readonly [Field in AbsentField]?: NonNullable<PredictionInput[Field]>;
};

/**
 * @param random  a number in [0, 1), for the seed of an input that has none
 * @throws {ServiceError} `invalid_parameter` with the name of the field and what the model accepts
 */
export function completeInput(
  input: PredictionInput,
  { info, random }: { info: ModelInfo; random: () => number },
): CompleteInput {
  const scheduler = input.scheduler ?? info.default_sampler;
  const sampler = Object.hasOwn(info.samplers, scheduler) ? info.samplers[scheduler] : undefined;
  if (!sampler) {
    throw refuse('scheduler', `must be one of ${Object.keys(info.samplers).join(', ')}`, scheduler);
  }
  const steps = input.num_inference_steps ?? sampler.steps.default;
  if (steps < sampler.steps.min || steps > sampler.steps.max) {
    const range = `from ${sampler.steps.min} to ${sampler.steps.max} with ${scheduler}`;
    throw refuse('num_inference_steps', `must be an integer ${range}`, steps);
  }
  const guidance = input.guidance_scale ?? info.guidance.default;
  // At or below 1 there is no guidance, which every model can do.
  if (guidance > 1 && (guidance < info.guidance.min || guidance > info.guidance.max)) {
    const range = `from ${info.guidance.min} to ${info.guidance.max}`;
    throw refuse('guidance_scale', `must be a number ${range}`, guidance);
  }
  const [width, height] = sizeOf(input, info);
  if (input.background === 'transparent') {
    if (!info.alpha) {
      throw refuse('background', `must be auto or opaque: ${info.id} draws no transparency`);
    }
    if (input.output_format === 'jpeg') {
      throw refuse('background', 'must be auto or opaque: jpeg holds no transparency');
    }
  }
  checkPictures(input, info);
  checkCapabilities(input, info);
  checkModel(input.model, info);
  const { image, mask, style, control_image: controlImage, model, ...rest } = input;
  if (style != null && !info.styles?.includes(style)) {
    const names = info.styles?.join(', ') ?? '';
    throw refuse('style', names ? `must be one of ${names}` : `${info.id} has no styles`, style);
  }
  return {
    ...rest,
    ...(image != null && { image }),
    ...(mask != null && { mask }),
    ...(style != null && { style }),
    ...(controlImage != null && { control_image: controlImage }),
    ...(model != null && { model }),
    control_scale: input.control_scale ?? 1,
    return_edges: input.return_edges ?? false,
    loras: input.loras ?? [],
    decoder: input.decoder ?? 'fast',
    strength: input.strength ?? STRENGTH_DEFAULT,
    metadata: input.metadata ?? 'minimal',
    seed: input.seed ?? Math.floor(random() * (SEED_MAX + 1)),
    width,
    height,
    num_inference_steps: steps,
    guidance_scale: guidance,
    scheduler,
  };
}

function checkPictures(input: PredictionInput, info: ModelInfo): void {
  for (const field of ['image', 'mask'] as const) {
    if (input[field] != null && !info.capabilities?.includes(field)) {
      throw refuse(field, `is not for ${info.id}, which has no VAE encoder`);
    }
  }
}

/** Each function serves one model; a request may say which it means. */
function checkModel(model: string | null | undefined, { id }: ModelInfo): void {
  if (model == null || model === id) return;
  throw new ServiceError('model_not_found', {
    detail: `There is no model ${JSON.stringify(model)} here; this function draws with ${id}.`,
    param: 'model',
  });
}

/** What only some models can do, and how the refusal says so. */
function checkCapabilities(input: PredictionInput, { id, capabilities = [] }: ModelInfo): void {
  if (input.control_image != null && !capabilities.includes('control')) {
    throw refuse('control_image', `is not for ${id}, which has no control network`);
  }
  if (input.return_edges === true && input.control_image == null) {
    throw refuse('return_edges', 'needs control_image, where the edges are found');
  }
  if (input.loras != null && input.loras.length > 0 && !capabilities.includes('lora')) {
    throw refuse('loras', `must be empty: ${id} takes no adapters`);
  }
  if (input.decoder === 'full' && !capabilities.includes('decoder')) {
    throw refuse('decoder', `must be fast: ${id} has no other decoder`);
  }
}

/** Members of the request, then flags in the prompt, then the native size. */
function sizeOf(input: PredictionInput, info: ModelInfo): readonly [number, number] {
  const { fault, ...flags } = parsePromptFlags(input.prompt);
  if (fault !== undefined) throw refuse('prompt', fault);
  const [usualWidth, usualHeight] = sizeOfFlags(flags, info) ?? info.native_size;
  const isNamed = input.width != null || input.height != null;
  const width = input.width ?? (isNamed ? info.native_size[0] : usualWidth);
  const height = input.height ?? (isNamed ? info.native_size[1] : usualHeight);
  if (input.size_policy === 'exact' && info.sizes !== 'bins') {
    if (!info.sizes.some(([w, h]) => w === width && h === height)) {
      const list = info.sizes.map(([w, h]) => `${w}x${h}`).join(', ');
      throw refuse('width', `${width}x${height} is not a size of ${info.id}; it draws ${list}`);
    }
  }
  return [width, height];
}

function refuse(param: keyof PredictionInput, rule: string, value?: unknown): ServiceError {
  const detail = value === undefined ? rule : `${rule}, not ${JSON.stringify(value)}`;
  return new ServiceError('invalid_parameter', { detail, param });
}
