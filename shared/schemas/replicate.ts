/**
 * Bodies of Replicate's API: what creates a prediction, and what its `input` may hold.
 *
 * The members of `input` are those of `generateRequest` under the names that models there use. Members that are not listed are
 * ignored with the warning `unknown_parameter`.
 */
import * as z from 'zod';
import { showValue } from './fields.ts';
import { generateRequest } from './generate.ts';
import { MODEL_NAME_PATTERN } from './model.ts';

export const WEBHOOK_EVENTS = ['start', 'output', 'logs', 'completed'] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

const URL_LENGTH_MAX = 2048;
const VERSION_PATTERN =
  /^(?:[A-Za-z0-9._-]{1,64}\/[A-Za-z0-9._-]{1,64}(?::[0-9a-f]{64})?|[0-9a-f]{64})$/;
const ASPECT_RATIO_PATTERN = /^(?:[1-9]\d{0,2}):(?:[1-9]\d{0,2})$/;

/** Members of `generateRequest` that mean nothing here, or have another name. */
const {
  n,
  output_compression,
  model: _model,
  response_format: _responseFormat,
  stream: _stream,
  partial_images: _partialImages,
  quality: _quality,
  moderation: _moderation,
  user: _user,
  safety_identifier: _safetyIdentifier,
  ...common
} = generateRequest.shape;

export const replicateInput = z.object({
  ...common,
  aspect_ratio: z
    .string({ error: (issue) => `must be a string such as "16:9", not ${showValue(issue.input)}` })
    .regex(ASPECT_RATIO_PATTERN, {
      error: (issue) => `must be two numbers such as "16:9", not ${showValue(issue.input)}`,
    })
    .nullish()
    .describe('Shape of the picture, with as many pixels as the native size; size and width win'),
  num_outputs: n,
  output_quality: output_compression.describe('Quality of jpeg and webp. Default 100'),
  disable_safety_checker: z.boolean().nullish().describe('Accepted, without effect'),
});
export type ReplicateInput = z.infer<typeof replicateInput>;

/** A model, one version of it, or the version alone. */
export const versionField = z
  .string({ error: (issue) => `must be a string, not ${showValue(issue.input)}` })
  .regex(VERSION_PATTERN, {
    error: (issue) =>
      `must be owner/name, owner/name:version or a version of 64 hexadecimal digits, not ${showValue(issue.input)}`,
  });

export const webhookUrlField = z
  .string({ error: (issue) => `must be an https URL, not ${showValue(issue.input)}` })
  .min(1, { error: 'must be an https URL' })
  .max(URL_LENGTH_MAX, { error: `must not be longer than ${URL_LENGTH_MAX} characters` });

const inputField = z.record(z.string(), z.unknown(), {
  error: (issue) => `must be an object, not ${showValue(issue.input)}`,
});

export const predictionRequest = z.object({
  input: inputField.describe('What to draw'),
  version: versionField.nullish().describe('Required on /v1/predictions'),
  webhook: webhookUrlField.nullish().describe('Gets the prediction when something happens to it'),
  webhook_events_filter: z
    .array(
      z.enum(WEBHOOK_EVENTS, {
        error: (issue) =>
          `must be one of ${WEBHOOK_EVENTS.join(', ')}, not ${showValue(issue.input)}`,
      }),
      { error: (issue) => `must be an array, not ${showValue(issue.input)}` },
    )
    .max(WEBHOOK_EVENTS.length, { error: 'has more members than there are events' })
    .nullish()
    .describe('Which events reach the webhook; absent is all'),
  stream: z.boolean().nullish().describe('Accepted: every prediction has a stream'),
});
export type PredictionRequest = z.infer<typeof predictionRequest>;

export const deploymentRequest = z.object({
  name: z
    .string({ error: (issue) => `must be a string, not ${showValue(issue.input)}` })
    .regex(/^[A-Za-z0-9._-]{1,64}$/, { error: 'must be [A-Za-z0-9._-]{1,64}' }),
  model: z
    .string({ error: (issue) => `must be owner/name, not ${showValue(issue.input)}` })
    .regex(MODEL_NAME_PATTERN, { error: 'must be owner/name' }),
  version: versionField.nullish(),
  hardware: z.string().max(64).nullish(),
  min_instances: z.int().min(0).max(1000).nullish(),
  max_instances: z.int().min(0).max(1000).nullish(),
});
export const deploymentPatch = deploymentRequest.omit({ name: true, model: true });

/** A prediction as callers see it. */
export const predictionObject = z.object({
  id: z.string(),
  model: z.string(),
  version: z.string(),
  deployment: z.string().optional(),
  input: z.record(z.string(), z.unknown()),
  output: z.array(z.string()).nullable().describe('URLs of the pictures; null until the end'),
  logs: z.string(),
  error: z.string().nullable(),
  code: z.string().nullable().describe('Extension: code of the error'),
  status: z.enum(['starting', 'processing', 'succeeded', 'failed', 'canceled']),
  source: z.literal('api'),
  data_removed: z.literal(false),
  created_at: z.string(),
  started_at: z.string().nullable(),
  completed_at: z.string().nullable(),
  deadline: z.string().optional(),
  metrics: z.record(z.string(), z.number()),
  webhook: z.string().optional(),
  webhook_events_filter: z.array(z.enum(WEBHOOK_EVENTS)).optional(),
  seed: z.int().optional().describe('Extension: seed of the first picture, once it is there'),
  urls: z.object({ get: z.string(), cancel: z.string(), stream: z.string(), web: z.string() }),
});
export type PredictionObject = z.infer<typeof predictionObject>;

export const fileObject = z.object({
  id: z.string(),
  name: z.string(),
  content_type: z.string(),
  size: z.int(),
  etag: z.string(),
  checksums: z.object({ sha256: z.string() }),
  metadata: z.record(z.string(), z.unknown()),
  created_at: z.string(),
  expires_at: z.string(),
  urls: z.object({ get: z.string() }),
});
export type FileObject = z.infer<typeof fileObject>;
