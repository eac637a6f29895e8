/** Answers of the image routes. */
import * as z from 'zod';
import { IMAGE_FORMATS } from './fields.ts';
import { warning } from './problem.ts';

/** How a picture was come by. */
export const CACHE_OUTCOMES = ['hit', 'miss', 'coalesced'] as const;
export type CacheOutcome = (typeof CACHE_OUTCOMES)[number];

/** Path of an original: digest of the file's bytes and the extension of its format. */
export const IMAGE_NAME_PATTERN = /^([0-9a-f]{64})\.(png|jpg|jpeg|webp)$/;

export const FILE_EXTENSIONS = { png: 'png', jpeg: 'jpg', webp: 'webp' } as const;

export const usage = z.object({
  input_tokens: z.int(),
  input_tokens_details: z.object({ image_tokens: z.int(), text_tokens: z.int() }),
  output_tokens: z.int(),
  output_tokens_details: z.object({ image_tokens: z.int(), text_tokens: z.int() }),
  total_tokens: z.int(),
});
export type Usage = z.infer<typeof usage>;

export const generatedImage = z.object({
  b64_json: z.string().optional(),
  url: z.string().optional(),
  seed: z.int(),
  id: z.string().describe('SHA-256 of the file'),
  cache: z.enum(CACHE_OUTCOMES),
});

export const imagesResponse = z.object({
  created: z.int().describe('Unix seconds when the picture was made'),
  data: z.array(generatedImage),
  background: z.enum(['opaque', 'transparent']),
  output_format: z.enum(IMAGE_FORMATS),
  quality: z.string(),
  size: z.string(),
  model: z.string(),
  num_inference_steps: z.int(),
  safety_identifier: z.string().nullable(),
  usage,
  warnings: z.array(warning),
});
export type ImagesResponse = z.infer<typeof imagesResponse>;

export const deletedImage = z.object({
  id: z.string(),
  object: z.literal('image.deleted'),
  deleted: z.literal(true),
});

export const modelObject = z.looseObject({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
});

export const modelList = z.object({
  object: z.literal('list'),
  data: z.array(modelObject),
  results: z.array(z.unknown()),
  next: z.null(),
  previous: z.null(),
});
