/**
 * `input` of a prediction: what the function draws from.
 *
 * The edge sends every field; other callers of the Cog routes may leave out all but the prompt. Fields without a
 * default here take the model's. Unknown members are stripped, as Cog does.
 */
import * as z from 'zod';
import {
  CONTROL_SCALE_MAX,
  IMAGES_PER_REQUEST_MAX,
  PIXELS_MAX,
  STEPS_MAX,
  STEPS_MIN,
  STRENGTH_DEFAULT,
} from '../limits.ts';
import {
  booleanField,
  guidanceField,
  hundredthsField,
  IMAGE_FORMATS,
  integerField,
  lorasField,
  pictureUriField,
  promptField,
  seedField,
  sideField,
  strengthField,
  wordField,
} from './fields.ts';
import { MODEL_NAME_PATTERN, SAMPLER_NAME_PATTERN, STYLE_NAME_PATTERN } from './model.ts';

export const SIZE_POLICIES = ['fit', 'exact'] as const;
export const DECODERS = ['fast', 'full'] as const;
export const BACKGROUNDS = ['auto', 'transparent', 'opaque'] as const;
/** What is written into the file: the mark of a generated picture, also prompt and parameters, or nothing. */
export const METADATA_POLICIES = ['minimal', 'full', 'none'] as const;
export type MetadataPolicy = (typeof METADATA_POLICIES)[number];

export const predictionInput = z
  .object({
    prompt: promptField({ allowEmpty: false }).describe('What to draw'),
    negative_prompt: promptField({ allowEmpty: true })
      .default('')
      .describe('What to keep out of the picture; needs guidance above 1'),
    seed: seedField.nullish().describe('Same seed, same picture; absent draws one at random'),
    width: sideField.nullish().describe('Pixels; absent is the native size of the model'),
    height: sideField.nullish().describe('Pixels; absent is the native size of the model'),
    num_inference_steps: integerField(STEPS_MIN, STEPS_MAX)
      .nullish()
      .describe('Denoising steps; absent is the default of the sampler'),
    guidance_scale: guidanceField.nullish().describe('How strictly to follow the prompt'),
    scheduler: z
      .string()
      .regex(SAMPLER_NAME_PATTERN, { error: 'must be the name of a sampler' })
      .nullish()
      .describe('Sampler; absent is the default of the model'),
    num_outputs: integerField(1, IMAGES_PER_REQUEST_MAX).default(1).describe('Pictures to draw'),
    output_format: wordField(IMAGE_FORMATS).default('png').describe('File format'),
    output_quality: integerField(1, 100).default(90).describe('Quality of jpeg and webp'),
    size_policy: wordField(SIZE_POLICIES)
      .default('fit')
      .describe('fit: draw at the nearest size, resize and crop; exact: refuse other sizes'),
    background: wordField(BACKGROUNDS)
      .default('auto')
      .describe('transparent needs a model with alpha and png or webp'),
    image: pictureUriField().nullish().describe('Picture to start from, as a data URI'),
    mask: pictureUriField()
      .nullish()
      .describe('Picture of the size of image: white is redrawn, black is kept'),
    strength: strengthField
      .nullish()
      .describe(
        `How much of image is redrawn: 0 nothing, 1 everything. Default ${STRENGTH_DEFAULT}`,
      ),
    style: z
      .string()
      .regex(STYLE_NAME_PATTERN, { error: 'must be the name of a style' })
      .nullish()
      .describe('Words that are added to prompt and negative prompt'),
    metadata: wordField(METADATA_POLICIES)
      .nullish()
      .describe('What is written into the file. Default minimal'),
    control_image: pictureUriField()
      .nullish()
      .describe('Picture whose edges the drawing follows; needs a model with control'),
    control_scale: hundredthsField(CONTROL_SCALE_MAX)
      .nullish()
      .describe('How strictly to follow the edges. Default 1'),
    return_edges: booleanField()
      .nullish()
      .describe('Also return the edge map that was found in control_image'),
    loras: lorasField.nullish().describe('Adapters to apply, with weights'),
    decoder: wordField(DECODERS)
      .nullish()
      .describe('full: the slower decoder of models that have one. Default fast'),
    model: z
      .string()
      .regex(MODEL_NAME_PATTERN, { error: 'must be the name of a model' })
      .nullish()
      .describe('Model to draw with where several are served; absent is the first one'),
  })
  .refine((input) => (input.width ?? 0) * (input.height ?? 0) <= PIXELS_MAX, {
    error: `width × height must not exceed ${PIXELS_MAX} pixels`,
    path: ['width'],
  })
  .refine((input) => input.image != null || input.mask == null, {
    error: 'needs image, the picture that it is the mask of',
    path: ['mask'],
  });

/** After parsing: defaults filled in. */
export type PredictionInput = z.infer<typeof predictionInput>;
