/** The envelope of `POST /predictions` and `PUT /predictions/{id}`: parsed, checked, closed. */
import * as z from 'zod';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS, MEDIA_TYPES } from '#shared/headers.ts';
import { decodeUtf8, parseJsonObject } from '#shared/json.ts';
import { STEPS_MAX } from '#shared/limits.ts';
import { type PredictionInput, predictionInput } from '#shared/schemas/prediction-input.ts';
import { WEBHOOK_EVENTS, type WebhookRequest } from '../predictions/webhooks.ts';
import { toValidationError, ValidationError } from './cog-error.ts';

/** Ids go into paths and log lines. */
export const PREDICTION_ID_PATTERN = /^[A-Za-z0-9._~-]{1,128}$/;
const WEBHOOK_URL_CHARS_MAX = 2048;

const webhookUrl = z
  .string({ error: 'must be a string' })
  .max(WEBHOOK_URL_CHARS_MAX, { error: `must not be longer than ${WEBHOOK_URL_CHARS_MAX}` })
  .refine(
    (text) => {
      if (!URL.canParse(text)) return false;
      const { protocol, username, password } = new URL(text);
      return /^https?:$/.test(protocol) && !username && !password;
    },
    { error: 'must be an http or https URL without credentials' },
  );

/** Unknown members are ignored, as Cog does. */
const envelope = z.object({
  id: z
    .string({ error: 'must be a string' })
    .regex(PREDICTION_ID_PATTERN, { error: 'must be 1–128 of A–Z a–z 0–9 . _ ~ -' })
    .nullish(),
  input: z.looseObject({}, { error: 'must be an object' }).nullish(),
  context: z.record(z.string(), z.string(), { error: 'must be an object of strings' }).nullish(),
  webhook: webhookUrl.nullish(),
  webhook_events_filter: z
    .array(z.enum(WEBHOOK_EVENTS, { error: `must be of ${WEBHOOK_EVENTS.join(', ')}` }), {
      error: 'must be an array',
    })
    .nullish(),
});

type Header = (name: string) => string | undefined;

export interface ParsedRequest {
  readonly id: string | undefined;
  readonly input: PredictionInput;
  readonly webhook: WebhookRequest | undefined;
  readonly wantsStream: boolean;
  readonly wantsAsync: boolean;
  /** 0 unless the caller asked for previews in its stream. */
  readonly previewCount: number;
}

/**
 * @param pathId  the id in the path of a PUT
 * @throws {ServiceError} for bodies that are not a JSON object
 * @throws {ValidationError} naming each field that does not hold
 */
export function parsePredictionRequest(
  body: Uint8Array,
  { header, pathId }: { header: Header; pathId?: string },
): ParsedRequest {
  const mediaType = header('Content-Type') ?? '';
  if (!/^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i.test(mediaType)) {
    throw new ServiceError('unsupported_media_type', {
      detail: `The body must be ${MEDIA_TYPES.json}.`,
    });
  }
  const parsed = envelope.safeParse(parseJsonObject(decodeUtf8(body)));
  if (!parsed.success) throw toValidationError(parsed.error, ['body']);
  const { id, webhook, webhook_events_filter: filter } = parsed.data;
  if (pathId !== undefined && id != null && id !== pathId) {
    throw invalidId('prediction ID must match the ID supplied in the URL');
  }
  const input = predictionInput.safeParse(parsed.data.input ?? {}, { reportInput: true });
  if (!input.success) throw toValidationError(input.error, ['body', 'input']);
  const wantsStream = /\btext\/event-stream\b/i.test(header('Accept') ?? '');
  return {
    id: pathId ?? id ?? undefined,
    input: input.data,
    webhook: webhook
      ? { url: webhook, events: new Set(filter ?? WEBHOOK_EVENTS), traceHeaders: trace(header) }
      : undefined,
    wantsStream,
    // A stream wins: both at once would leave nobody to read it.
    wantsAsync: !wantsStream && header('Prefer')?.trim() === 'respond-async',
    previewCount: wantsStream ? previewCount(header(HEADERS.previews)) : 0,
  };
}

/** @throws {ValidationError} when an id in a path could not have been given to a prediction */
export function checkPathId(id: string): string {
  if (!PREDICTION_ID_PATTERN.test(id)) throw invalidId('must be 1–128 of A–Z a–z 0–9 . _ ~ -');
  return id;
}

function invalidId(msg: string): ValidationError {
  return new ValidationError([{ loc: ['body', 'id'], msg, type: 'value_error' }]);
}

function previewCount(text: string | undefined): number {
  if (text === undefined) return 0;
  const count = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  if (count <= STEPS_MAX) return count;
  const msg = `must be an integer from 0 to ${STEPS_MAX}`;
  throw new ValidationError([{ loc: ['header', HEADERS.previews], msg, type: 'value_error' }]);
}

function trace(header: Header): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of ['traceparent', 'tracestate']) {
    const value = header(name);
    if (value !== undefined && value.length <= 512) headers[name] = value;
  }
  return headers;
}
