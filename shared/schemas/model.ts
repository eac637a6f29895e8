/** What a model can draw: the public part of a bundle's manifest. */
import * as z from 'zod';
import { GUIDANCE_MAX, SIDE_MAX, STEPS_MAX, STEPS_MIN } from '../limits.ts';

/** `owner/name` or `name`; each part `[A-Za-z0-9._-]{1,64}`. */
export const MODEL_NAME_PATTERN = /^[A-Za-z0-9._-]{1,64}(?:\/[A-Za-z0-9._-]{1,64})?$/;

/** Names of samplers, as `scheduler` takes them. */
export const SAMPLERS = [
  'lcm',
  'dpm-solver++',
  'sa-solver',
  'ddim',
  'ddpm',
  'iddpm',
  'dmd',
] as const;
export type SamplerName = (typeof SAMPLERS)[number];
export const SAMPLER_NAME_PATTERN = /^[a-z0-9_+-]{1,32}$/;

/** Names of prompt styles. */
export const STYLE_NAME_PATTERN = /^[a-z0-9-]{1,32}$/;

/** Names of adapters: what requests ask for. */
export const ADAPTER_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** What a model can take beside a prompt. */
export const CAPABILITIES = ['image', 'mask', 'control', 'lora', 'decoder'] as const;
export type Capability = (typeof CAPABILITIES)[number];

const steps = z.int().min(STEPS_MIN).max(STEPS_MAX);
const side = z.int().min(1).max(SIDE_MAX);
/** `[width, height]` in pixels. */
const size = z.tuple([side, side]);

export const samplerInfo = z.object({
  steps: z.object({ min: steps, max: steps, default: steps }),
  /** Steps for each word of the `quality` parameter; absent means 2, 4 and 8 within the range. */
  quality: z.object({ low: steps, medium: steps, high: steps }).optional(),
});
export type SamplerInfo = z.infer<typeof samplerInfo>;

export const modelInfo = z
  .object({
    id: z.string().regex(MODEL_NAME_PATTERN),
    revision: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .describe('SHA-256 over the files and the configuration of the bundle'),
    numeric_class: z
      .string()
      .min(1)
      .max(64)
      .describe('Pictures are byte-identical within one class, such as cpu-int8'),
    license: z.string(),
    native_size: size,
    sizes: z.union([z.array(size).min(1).max(256), z.literal('bins')]),
    max_sequence_length: z.int().min(1).max(1024),
    alpha: z.boolean().describe('Whether the model draws transparency'),
    clean_caption: z.boolean(),
    samplers: z.record(z.string().regex(SAMPLER_NAME_PATTERN), samplerInfo),
    default_sampler: z.string(),
    guidance: z.object({
      min: z.number().min(0).max(GUIDANCE_MAX),
      max: z.number().min(0).max(GUIDANCE_MAX),
      default: z.number().min(0).max(GUIDANCE_MAX),
    }),
    capabilities: z
      .array(z.enum(CAPABILITIES))
      .max(CAPABILITIES.length)
      .optional()
      .describe(
        'image: draws from an input picture; mask: redraws a part of it; control: follows edges; lora: takes adapters; decoder: has a second one',
      ),
    styles: z
      .array(z.string().regex(STYLE_NAME_PATTERN))
      .max(64)
      .optional()
      .describe('Values of style'),
    adapters: z
      .array(z.string().regex(ADAPTER_ID_PATTERN))
      .max(64)
      .optional()
      .describe('Adapters that the model comes with'),
    vocabulary: z
      .object({
        concepts: z.array(z.string()),
        styles: z.array(z.string()),
        colours: z.array(z.string()),
        backdrops: z.array(z.string()),
      })
      .optional(),
  })
  .refine((model) => Object.hasOwn(model.samplers, model.default_sampler), {
    error: 'default_sampler must be one of samplers',
    path: ['default_sampler'],
  });
export type ModelInfo = z.infer<typeof modelInfo>;
