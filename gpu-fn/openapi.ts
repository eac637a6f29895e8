/**
 * `/openapi.json` in the form that Cog gives it: OpenAPI 3.0.2, an `Input` schema with `x-order`, choices as
 * references to enum schemas of their own.
 *
 * Made from the zod schema of the input and from what the loaded model can do.
 */
import * as z from 'zod';
import type { ModelInfo } from '#shared/schemas/model.ts';
import { PREDICTION_STATUSES } from '#shared/schemas/prediction.ts';
import { predictionInput } from '#shared/schemas/prediction-input.ts';
import { WEBHOOK_EVENTS } from './predictions/webhooks.ts';

type Schema = Record<string, unknown>;

export function buildOpenApi({ info, version }: { info: ModelInfo; version: string }) {
  const { input, choices } = buildInput(info);
  const object = (title: string, properties: Schema, required?: readonly string[]): Schema => ({
    title,
    type: 'object',
    properties,
    ...(required && { required }),
  });
  const output = {
    title: 'Output',
    type: 'array',
    items: { type: 'string', format: 'uri' },
    'x-cog-array-type': 'iterator',
  };
  const request = object('PredictionRequest', {
    id: { title: 'Id', type: 'string', nullable: true },
    input: ref('Input'),
    context: {
      title: 'Context',
      type: 'object',
      additionalProperties: { type: 'string' },
      nullable: true,
    },
    webhook: { title: 'Webhook', type: 'string', format: 'uri', nullable: true },
    webhook_events_filter: {
      title: 'Webhook Events Filter',
      type: 'array',
      items: ref('WebhookEvent'),
      nullable: true,
    },
  });
  const response = object('PredictionResponse', {
    id: { title: 'Id', type: 'string' },
    status: ref('Status'),
    output: ref('Output'),
    error: { title: 'Error', type: 'string', nullable: true },
    code: { title: 'Code', type: 'string', nullable: true },
    logs: { title: 'Logs', type: 'string', default: '' },
    metrics: { title: 'Metrics', type: 'object', additionalProperties: true },
    warnings: { title: 'Warnings', type: 'array', items: { type: 'object' } },
    output_sha256: { title: 'Output Sha256', type: 'array', items: { type: 'string' } },
    seed: { title: 'Seed', type: 'integer' },
    revision: { title: 'Revision', type: 'string' },
  });
  const loc = { anyOf: [{ type: 'string' }, { type: 'integer' }] };
  const validationError = object(
    'ValidationError',
    {
      loc: { title: 'Location', type: 'array', items: loc },
      msg: { title: 'Message', type: 'string' },
      type: { title: 'Error Type', type: 'string' },
    },
    ['loc', 'msg', 'type'],
  );
  return {
    openapi: '3.0.2',
    info: { title: 'Cog', version },
    paths: buildPaths(),
    components: {
      schemas: {
        Input: input,
        ...choices,
        Output: output,
        Status: word('Status', PREDICTION_STATUSES),
        WebhookEvent: word('WebhookEvent', WEBHOOK_EVENTS),
        PredictionRequest: request,
        PredictionResponse: response,
        HTTPValidationError: object('HTTPValidationError', {
          detail: { title: 'Detail', type: 'array', items: ref('ValidationError') },
        }),
        ValidationError: validationError,
      },
    },
  };
}

/** The `Input` schema and the enum schemas that it refers to. */
function buildInput(info: ModelInfo): { input: Schema; choices: Schema } {
  const generic = z.toJSONSchema(predictionInput, { target: 'openapi-3.0', io: 'input' });
  const sampler = info.samplers[info.default_sampler]!;
  const known: Record<string, Schema> = {
    width: { default: info.native_size[0] },
    height: { default: info.native_size[1] },
    num_inference_steps: {
      minimum: Math.min(...Object.values(info.samplers).map(({ steps }) => steps.min)),
      maximum: Math.max(...Object.values(info.samplers).map(({ steps }) => steps.max)),
      default: sampler.steps.default,
    },
    guidance_scale: { default: info.guidance.default },
    scheduler: { enum: Object.keys(info.samplers), default: info.default_sampler },
  };
  const choices: Schema = {};
  const properties: Schema = {};
  for (const [order, [name, schema]] of Object.entries(generic.properties ?? {}).entries()) {
    const merged = { ...(schema as Schema), ...known[name] };
    const { enum: words, type, pattern, ...rest } = merged;
    if (Array.isArray(words)) {
      choices[name] = word(name, words, 'An enumeration.');
      properties[name] = { allOf: [ref(name)], ...rest, 'x-order': order };
    } else {
      const format = pattern === undefined ? {} : { pattern };
      properties[name] = { title: titleOf(name), type, ...format, ...rest, 'x-order': order };
    }
  }
  const required = [...(generic.required ?? [])];
  return { input: { title: 'Input', type: 'object', required, properties }, choices };
}

function buildPaths(): Schema {
  const json = (schema: Schema) => ({ content: { 'application/json': { schema } } });
  const invalid = { description: 'Validation Error', ...json(ref('HTTPValidationError')) };
  const created = { description: 'Successful Response', ...json(ref('PredictionResponse')) };
  const requestBody = json(ref('PredictionRequest'));
  const id = {
    name: 'prediction_id',
    in: 'path',
    required: true,
    schema: { title: 'Prediction ID', type: 'string' },
  };
  const plain = (summary: string, operationId: string, rest: Schema = {}) => ({
    summary,
    operationId,
    responses: { '200': { description: 'Successful Response', ...json({ title: 'Response' }) } },
    ...rest,
  });
  return {
    '/': { get: plain('Root', 'root__get') },
    '/health-check': { get: plain('Healthcheck', 'healthcheck_health_check_get') },
    '/model': { get: plain('Model', 'model_model_get') },
    '/predictions': {
      post: {
        summary: 'Predict',
        description: 'Run a single prediction on the model',
        operationId: 'predict_predictions_post',
        'x-cog-streaming': true,
        requestBody,
        responses: { '200': created, '422': invalid },
      },
    },
    '/predictions/{prediction_id}': {
      put: {
        summary: 'Predict Idempotent',
        description: 'Run a single prediction on the model (idempotent creation).',
        operationId: 'predict_idempotent_predictions__prediction_id__put',
        'x-cog-streaming': true,
        parameters: [id],
        requestBody,
        responses: { '200': created, '422': invalid },
      },
    },
    '/predictions/{prediction_id}/cancel': {
      post: plain('Cancel', 'cancel_predictions__prediction_id__cancel_post', {
        description: 'Cancel a running prediction',
        parameters: [id],
      }),
    },
    '/shutdown': { post: plain('Start Shutdown', 'start_shutdown_shutdown_post') },
  };
}

function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

function word(title: string, words: readonly unknown[], description?: string): Schema {
  return { title, type: 'string', enum: words, ...(description && { description }) };
}

/** `num_outputs` → `Num Outputs` */
function titleOf(name: string): string {
  return name.replaceAll('_', ' ').replace(/\b[a-z]/g, (letter) => letter.toUpperCase());
}
