/** Building blocks of the request schemas: fields whose messages carry the value and the limit. */
import * as z from 'zod';
import { DATA_URI_CHARS_MAX, findPictureUriFault } from '../data-uri.ts';
import {
  GUIDANCE_MAX,
  LORA_WEIGHT_MAX,
  LORAS_MAX,
  PROMPT_CODE_POINTS_MAX,
  SEED_MAX,
  SIDE_MAX,
  SIDE_MIN,
  SIDE_MULTIPLE,
} from '../limits.ts';
import { findPromptFault } from '../prompt.ts';
import { ADAPTER_ID_PATTERN } from './model.ts';

export const IMAGE_FORMATS = ['png', 'jpeg', 'webp'] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

/** A value as an error message shows it: short, never a whole body. */
export function showValue(value: unknown): string {
  if (typeof value === 'string') {
    const text = value.toWellFormed();
    return JSON.stringify(text.length > 40 ? `${text.slice(0, 40).toWellFormed()}…` : text);
  }
  if (value === null || ['number', 'boolean', 'undefined'].includes(typeof value)) {
    return String(value);
  }
  return Array.isArray(value) ? 'an array' : 'an object';
}

/** Integer from `min` to `max`. */
export function integerField(min: number, max: number): z.ZodInt {
  const error = (issue: { readonly input?: unknown }) =>
    `must be an integer from ${min} to ${max}, not ${showValue(issue.input)}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** One word of a list. */
export function wordField<const T extends readonly [string, ...string[]]>(
  words: T,
): z.ZodEnum<{ [K in T[number]]: K }> {
  return z.enum(words, {
    error: (issue) => `must be one of ${words.join(', ')}, not ${showValue(issue.input)}`,
  }) as z.ZodEnum<{ [K in T[number]]: K }>;
}

export function booleanField(): z.ZodBoolean {
  return z.boolean({ error: (issue) => `must be true or false, not ${showValue(issue.input)}` });
}

export function textField(lengthMax: number): z.ZodString {
  return z
    .string({ error: (issue) => `must be a string, not ${showValue(issue.input)}` })
    .max(lengthMax, { error: `must not be longer than ${lengthMax} characters` });
}

/** Prompt text; the custom issue carries the error code in `params.code`. */
export function promptField({ allowEmpty }: { allowEmpty: boolean }): z.ZodString {
  return z
    .string({ error: (issue) => `must be a string, not ${showValue(issue.input)}` })
    .superRefine((text, context) => {
      const fault = findPromptFault(text, { allowEmpty });
      if (fault !== undefined) {
        context.addIssue({
          code: 'custom',
          message: fault.message,
          params: { code: fault.code },
        });
      }
    })
    .meta({ minLength: allowEmpty ? 0 : 1, maxLength: PROMPT_CODE_POINTS_MAX });
}

export const seedField: z.ZodInt = integerField(0, SEED_MAX);

/** Pixels of one side. */
export const sideField: z.ZodInt = integerField(SIDE_MIN, SIDE_MAX).multipleOf(SIDE_MULTIPLE, {
  error: (issue) => `${showValue(issue.input)} is not a multiple of ${SIDE_MULTIPLE}`,
});

/** A number from 0 to `max` with at most two decimals. */
export function hundredthsField(max: number): z.ZodNumber {
  const error = (issue: { readonly input?: unknown }) =>
    `must be a number from 0 to ${max} with at most two decimals, not ${showValue(issue.input)}`;
  return z
    .number({ error })
    .min(0, { error })
    .max(max, { error })
    .refine((value) => Math.abs(value * 100 - Math.round(value * 100)) < 1e-9, { error });
}

export const guidanceField: z.ZodNumber = hundredthsField(GUIDANCE_MAX);

/** 0 keeps the input picture, 1 redraws all of it. */
export const strengthField: z.ZodNumber = hundredthsField(1);

/** A picture as a `data:` URI; only its head and its length are looked at here. */
export function pictureUriField(): z.ZodString {
  return z
    .string({ error: (issue) => `must be a string, not ${showValue(issue.input)}` })
    .superRefine((uri, context) => {
      const fault = findPictureUriFault(uri);
      if (fault !== undefined) context.addIssue({ code: 'custom', ...fault });
    })
    .meta({ format: 'uri', maxLength: DATA_URI_CHARS_MAX });
}

const weightError = (issue: { readonly input?: unknown }) =>
  `must be a number from -${LORA_WEIGHT_MAX} to ${LORA_WEIGHT_MAX} with at most three decimals, not ${showValue(issue.input)}`;

/** One adapter of a request and how strongly it is applied. */
export const loraField = z.strictObject({
  id: z
    .string({ error: (issue) => `must be a string, not ${showValue(issue.input)}` })
    .regex(ADAPTER_ID_PATTERN, { error: 'must be the name of an adapter' }),
  weight: z
    .number({ error: weightError })
    .min(-LORA_WEIGHT_MAX, { error: weightError })
    .max(LORA_WEIGHT_MAX, { error: weightError })
    .refine((value) => Math.abs(value * 1000 - Math.round(value * 1000)) < 1e-9, {
      error: weightError,
    })
    .default(1),
});
export type Lora = z.infer<typeof loraField>;

/** The adapters of a request, each at most once, in the order in which their updates are added. */
export const lorasField = z
  .array(loraField)
  .max(LORAS_MAX, { error: `must not hold more than ${LORAS_MAX} adapters` })
  .refine((loras) => new Set(loras.map(({ id }) => id)).size === loras.length, {
    error: 'must not name an adapter twice',
  });
