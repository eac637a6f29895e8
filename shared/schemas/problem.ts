/** Problem documents (RFC 9457) and warnings, as they appear on the wire. */
import * as z from 'zod';
import { ERRORS, type ErrorCode } from '../errors.ts';

const errorCodes = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]];

export const problem = z.object({
  type: z.string().describe('URI reference that names the kind of problem'),
  title: z.string(),
  status: z.int().min(400).max(599),
  detail: z.string().describe('What is wrong with this request and how to mend it'),
  instance: z.string().optional().describe('Path of the request'),
  code: z.enum(errorCodes),
  param: z.string().optional().describe('Field that caused it, as a path'),
  retryable: z.boolean(),
  request_id: z.string(),
  retry_after_ms: z.int().min(0).optional(),
});
export type Problem = z.infer<typeof problem>;

export const WARNING_CODES = [
  'prompt_truncated',
  'size_resampled',
  'model_aliased',
  'unknown_parameter',
  'unknown_words',
  'negative_prompt_ignored',
] as const;

/** Something the caller should know about a request that was served nevertheless. */
export const warning = z.object({
  code: z.enum(WARNING_CODES),
  message: z.string(),
  param: z.string().optional(),
});
export type Warning = z.infer<typeof warning>;

/** The error body on the OpenAI surface: OpenAI's object with the problem's members beside it. */
export const openAiErrorBody = problem.extend({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});
export type OpenAiErrorBody = z.infer<typeof openAiErrorBody>;
