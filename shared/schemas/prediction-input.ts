/**
 * `input` of a prediction: what the function draws from.
 *
 * The edge sends every field; other callers of the Cog routes may leave out all but the prompt. Fields without a
 * default here take the model's. Unknown members are stripped, as Cog does.
 */
import * as z from 'zod';
import { IMAGES_PER_REQUEST_MAX, PIXELS_MAX, STEPS_MAX, STEPS_MIN } from '../limits.ts';
import {
  guidanceField,
  IMAGE_FORMATS,
  integerField,
  promptField,
  seedField,
  sideField,
  wordField,
} from './fields.ts';

export const SIZE_POLICIES = ['fit', 'exact'] as const;
export const BACKGROUNDS = ['auto', 'transparent', 'opaque'] as const;

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
      .regex(/^[a-z0-9_-]{1,32}$/, { error: 'must be the name of a sampler' })
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
  })
  .refine((input) => (input.width ?? 0) * (input.height ?? 0) <= PIXELS_MAX, {
    error: `width × height must not exceed ${PIXELS_MAX} pixels`,
    path: ['width'],
  });

/** After parsing: defaults filled in. */
export type PredictionInput = z.infer<typeof predictionInput>;
