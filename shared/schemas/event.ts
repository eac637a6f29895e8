/** Events of a generation stream on the OpenAI surface. */
import * as z from 'zod';
import { IMAGE_FORMATS } from './fields.ts';
import { CACHE_OUTCOMES, usage } from './image.ts';
import { warning } from './problem.ts';

const picture = {
  b64_json: z.string(),
  created_at: z.int(),
  size: z.string(),
  quality: z.string(),
  background: z.enum(['opaque', 'transparent']),
  output_format: z.enum(IMAGE_FORMATS),
  /** Extension: which of the `n` pictures. */
  index: z.int().min(0),
};

export const partialImageEvent = z.object({
  type: z.literal('image_generation.partial_image'),
  ...picture,
  partial_image_index: z.int().min(0),
  /** Extension: the preview shows the picture after `step` of `steps`. */
  step: z.int().min(0),
  steps: z.int().min(1),
});
export type PartialImageEvent = z.infer<typeof partialImageEvent>;

export const completedEvent = z.object({
  type: z.literal('image_generation.completed'),
  ...picture,
  usage,
  safety_identifier: z.string().nullable(),
  /** Extensions. */
  url: z.string().optional(),
  id: z.string(),
  seed: z.int(),
  cache: z.enum(CACHE_OUTCOMES),
  warnings: z.array(warning),
  /** Milliseconds by stage, the names of `Server-Timing`. */
  timings: z.record(z.string(), z.number()),
});
export type CompletedEvent = z.infer<typeof completedEvent>;

export const errorEvent = z.object({
  type: z.literal('error'),
  error: z.looseObject({
    message: z.string(),
    type: z.string(),
    code: z.string().nullable(),
    param: z.string().nullable(),
  }),
});
export type ErrorEvent = z.infer<typeof errorEvent>;

export const generationEvent = z.discriminatedUnion('type', [
  partialImageEvent,
  completedEvent,
  errorEvent,
]);
export type GenerationEvent = z.infer<typeof generationEvent>;
