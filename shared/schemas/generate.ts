/**
 * Body of `POST /v1/images/generations`: OpenAI's members and our extensions.
 *
 * Every member but the prompt may be absent or null, which means its default. Members that are not listed are ignored
 * with the warning `unknown_parameter`.
 */
import * as z from 'zod';
import {
  IMAGES_PER_REQUEST_MAX,
  PARTIAL_IMAGES_MAX,
  PIXELS_MAX,
  SIDE_MAX,
  SIDE_MIN,
  SIDE_MULTIPLE,
  STEPS_MAX,
  STEPS_MIN,
} from '../limits.ts';
import { STYLE_NAMES } from '../styles.ts';
import {
  booleanField,
  guidanceField,
  integerField,
  promptField,
  seedField,
  showValue,
  sideField,
  textField,
  wordField,
} from './fields.ts';
import { MODEL_NAME_PATTERN, SAMPLER_NAME_PATTERN } from './model.ts';
import { BACKGROUNDS, SIZE_POLICIES } from './prediction-input.ts';

export const QUALITIES = [
  'auto',
  'low',
  'medium',
  'standard',
  'high',
  'hd',
  'xhigh',
  'max',
] as const;
export type Quality = (typeof QUALITIES)[number];

/** Accepted for the sake of clients; they change nothing here. */
export const OPENAI_STYLES = ['vivid', 'natural'] as const;

export const VISIBILITIES = ['account', 'public', 'private'] as const;
export type Visibility = (typeof VISIBILITIES)[number];

const stepsField = integerField(STEPS_MIN, STEPS_MAX);
const SIZE_PATTERN = /^(?:auto|\d{1,5}x\d{1,5})$/;

const sizeField = z
  .string({ error: (issue) => `must be a string such as "128x128", not ${showValue(issue.input)}` })
  .regex(SIZE_PATTERN, {
    error: (issue) => `must be "auto" or WIDTHxHEIGHT, not ${showValue(issue.input)}`,
  })
  .superRefine((size, context) => {
    const fault = findSizeFault(size);
    if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
  });

export const generateRequest = z.object({
  prompt: promptField({ allowEmpty: false }).describe('What to draw'),
  model: z
    .string({ error: (issue) => `must be a string, not ${showValue(issue.input)}` })
    .regex(MODEL_NAME_PATTERN, { error: 'must be a name or owner/name' })
    .nullish()
    .describe('Model to draw with; absent is the default model'),
  n: integerField(1, IMAGES_PER_REQUEST_MAX)
    .nullish()
    .describe('Pictures to draw; picture i uses seed + i. Default 1'),
  size: sizeField.nullish().describe('WIDTHxHEIGHT in pixels, or auto for the native size'),
  width: sideField.nullish().describe('Extension: pixels, together with height'),
  height: sideField.nullish().describe('Extension: pixels, together with width'),
  size_policy: wordField(SIZE_POLICIES)
    .nullish()
    .describe('Extension: fit (default) draws the nearest size and resizes; exact refuses others'),
  quality: wordField(QUALITIES).nullish().describe('Chooses the number of denoising steps'),
  num_inference_steps: stepsField.nullish().describe('Extension: denoising steps'),
  steps: stepsField.nullish().describe('Alias of num_inference_steps'),
  step: stepsField.nullish().describe('Alias of num_inference_steps'),
  seed: seedField.nullish().describe('Extension: absent derives it from the request'),
  negative_prompt: promptField({ allowEmpty: true })
    .nullish()
    .describe('Extension: what to keep out of the picture'),
  guidance_scale: guidanceField.nullish().describe('Extension: 1 and below mean none'),
  scheduler: z
    .string({ error: (issue) => `must be a string, not ${showValue(issue.input)}` })
    .regex(SAMPLER_NAME_PATTERN, { error: 'must be the name of a sampler' })
    .nullish()
    .describe('Extension: sampler; GET /v1/models lists those of each model'),
  output_format: wordField(['png', 'jpeg', 'jpg', 'webp'])
    .nullish()
    .describe('File format. Default png'),
  output_compression: integerField(0, 100)
    .nullish()
    .describe('Quality of jpeg and webp. Default 100'),
  response_format: wordField(['b64_json', 'url'])
    .nullish()
    .describe('Picture as base64 or as a URL. Default b64_json'),
  background: wordField(BACKGROUNDS).nullish().describe('Default auto'),
  stream: booleanField().nullish().describe('Answer with server-sent events'),
  partial_images: integerField(0, PARTIAL_IMAGES_MAX)
    .nullish()
    .describe('Previews wanted in the stream; fewer may be sent. Default 0'),
  visibility: wordField(VISIBILITIES)
    .nullish()
    .describe('Extension: who shares pictures of this request; private ones have a signed URL'),
  metadata: wordField(['minimal', 'full'])
    .nullish()
    .describe(
      'Extension: what is written into the file; minimal marks it as generated, full adds prompt and parameters',
    ),
  moderation: wordField(['auto', 'low']).nullish().describe('Accepted'),
  style: wordField([...OPENAI_STYLES, ...STYLE_NAMES])
    .nullish()
    .describe('Extension: a prompt template of the model; vivid and natural have no effect'),
  user: textField(512).nullish().describe('Accepted'),
  safety_identifier: textField(512).nullish().describe('Echoed in the answer'),
});
export type GenerateRequest = z.infer<typeof generateRequest>;

/** `[width, height]` of a checked size, or undefined for `auto`. */
export function parseSize(size: string): readonly [width: number, height: number] | undefined {
  if (size === 'auto') return undefined;
  const [width = 0, height = 0] = size.split('x').map(Number);
  return [width, height];
}

/** Says why a size is refused, or undefined. */
export function findSizeFault(size: string): string | undefined {
  const parsed = parseSize(size);
  if (parsed === undefined) return undefined;
  for (const side of parsed) {
    if (!(side >= SIDE_MIN && side <= SIDE_MAX)) {
      return `${size}: each side must be from ${SIDE_MIN} to ${SIDE_MAX} pixels`;
    }
    if (side % SIDE_MULTIPLE !== 0) return `${size}: ${side} is not a multiple of ${SIDE_MULTIPLE}`;
  }
  const pixels = parsed[0] * parsed[1];
  if (pixels > PIXELS_MAX) return `${size} has ${pixels} pixels, ${PIXELS_MAX} are allowed`;
  return undefined;
}
