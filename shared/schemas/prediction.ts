/** A finished prediction and the events of the function's stream (Cog protocol and our `preview`). */
import * as z from 'zod';
import { warning } from './problem.ts';

export const PREDICTION_STATUSES = [
  'starting',
  'processing',
  'succeeded',
  'failed',
  'canceled',
] as const;

/** All durations in seconds, as Cog gives `predict_time`. */
export const predictionMetrics = z.looseObject({
  predict_time: z.number().optional(),
  queue_time: z.number().optional(),
  text_time: z.number().optional(),
  denoise_time: z.number().optional(),
  vae_time: z.number().optional(),
  image_time: z.number().optional(),
  /** Tokens of the prompt that the text encoder used. */
  prompt_tokens: z.int().optional(),
});
export type PredictionMetrics = z.infer<typeof predictionMetrics>;

/** Data of the `completed` event, and the body of a synchronous answer. */
export const prediction = z.looseObject({
  id: z.string().optional(),
  status: z.enum(PREDICTION_STATUSES),
  /** Data URIs, one for each picture. */
  output: z.array(z.string()).nullish(),
  /** SHA-256 of each picture's file, in the order of `output`. */
  output_sha256: z.array(z.string().regex(/^[0-9a-f]{64}$/)).nullish(),
  error: z.string().nullish(),
  /** Machine-readable reason when `status` is `failed`: an error code of `errors.ts`. */
  code: z.string().nullish(),
  logs: z.string().nullish(),
  metrics: predictionMetrics.nullish(),
  warnings: z.array(warning).nullish(),
  /** Seed of the first picture. */
  seed: z.int().nullish(),
  /** Revision of the bundle that drew it. */
  revision: z.string().nullish(),
});
export type Prediction = z.infer<typeof prediction>;

/** Data of the `preview` event: the predicted picture after `step` of `steps`. */
export const predictionPreview = z.object({
  index: z.int().min(0),
  step: z.int().min(0),
  steps: z.int().min(1),
  /** Data URI, at most `PREVIEW_BYTES_MAX` decoded. */
  image: z.string(),
});
export type PredictionPreview = z.infer<typeof predictionPreview>;

export const predictionMetric = z.object({
  name: z.string(),
  value: z.unknown(),
  mode: z.string().optional(),
});

/** Data of an `error` event: events were lost. */
export const predictionStreamError = z.looseObject({ error: z.string() });
