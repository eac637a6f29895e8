/**
 * The `openapi_schema` of a version, in the form that Cog gives it: OpenAPI 3.0.2 with an `Input` schema whose members carry
 * `x-order`, and an `Output` that is an array of URLs.
 */
import * as z from 'zod';
import type { ModelInfo } from '#shared/schemas/model.ts';
import { PREDICTION_STATUSES } from '#shared/schemas/prediction.ts';
import { replicateInput, WEBHOOK_EVENTS } from '#shared/schemas/replicate.ts';

type Schema = Record<string, unknown>;

export function cogSchema(model: ModelInfo): Schema {
  const { input, choices } = inputSchemas(model);
  const content = (name: string) => ({ content: { 'application/json': { schema: ref(name) } } });
  return {
    openapi: '3.0.2',
    info: { title: 'Cog', version: '0.1.0' },
    paths: {
      '/predictions': {
        post: {
          summary: 'Predict',
          operationId: 'predict_predictions_post',
          'x-cog-streaming': true,
          requestBody: content('PredictionRequest'),
          responses: {
            200: { description: 'Successful Response', ...content('PredictionResponse') },
          },
        },
      },
    },
    components: {
      schemas: {
        Input: input,
        ...choices,
        Output: {
          title: 'Output',
          type: 'array',
          items: { type: 'string', format: 'uri' },
          'x-cog-array-type': 'iterator',
        },
        Status: { title: 'Status', type: 'string', enum: PREDICTION_STATUSES },
        WebhookEvent: { title: 'WebhookEvent', type: 'string', enum: WEBHOOK_EVENTS },
        PredictionRequest: object('PredictionRequest', {
          input: ref('Input'),
          webhook: { type: 'string', format: 'uri' },
          webhook_events_filter: { type: 'array', items: ref('WebhookEvent') },
        }),
        PredictionResponse: object('PredictionResponse', {
          id: { type: 'string' },
          status: ref('Status'),
          input: ref('Input'),
          output: ref('Output'),
          logs: { type: 'string' },
          error: { type: 'string', nullable: true },
          metrics: { type: 'object', additionalProperties: true },
        }),
      },
    },
  };
}

/** `Input`, and the words that its members are chosen from as schemas of their own. */
function inputSchemas(model: ModelInfo): { input: Schema; choices: Schema } {
  const { properties = {}, required = [] } = z.toJSONSchema(replicateInput, {
    target: 'openapi-3.0',
    io: 'input',
  });
  const ofModel = limitsOf(model);
  const choices: Schema = {};
  const members: Schema = {};
  for (const [order, [name, schema]] of Object.entries(properties).entries()) {
    const { anyOf, nullable: _, ...rest } = { ...(schema as Schema), ...ofModel[name] } as Schema;
    // "or null" is how the wire says absent; Cog says it by not requiring the member.
    const [first] = Array.isArray(anyOf) ? (anyOf as Schema[]) : [];
    const { enum: words, nullable: _n, ...shape } = { ...first, ...rest } as Schema;
    if (Array.isArray(words)) {
      choices[name] = { title: name, type: 'string', enum: words.filter((word) => word !== null) };
      members[name] = { allOf: [ref(name)], ...withoutType(shape), 'x-order': order };
    } else {
      members[name] = { title: titleOf(name), ...shape, 'x-order': order };
    }
  }
  return { input: { title: 'Input', type: 'object', required, properties: members }, choices };
}

/** What this model narrows. */
function limitsOf({
  native_size: [width, height],
  samplers,
  default_sampler,
  guidance,
}: ModelInfo) {
  const ranges = Object.values(samplers).map(({ steps }) => steps);
  const limits: Record<string, Schema> = {
    width: { default: width },
    height: { default: height },
    num_inference_steps: {
      minimum: Math.min(...ranges.map(({ min }) => min)),
      maximum: Math.max(...ranges.map(({ max }) => max)),
      default: samplers[default_sampler]!.steps.default,
    },
    guidance_scale: { default: guidance.default },
    num_outputs: { default: 1 },
    output_format: { default: 'png' },
  };
  return limits;
}

function withoutType({ type: _, ...rest }: Schema): Schema {
  return rest;
}

function object(title: string, properties: Schema): Schema {
  return { title, type: 'object', properties };
}

function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

/** `num_outputs` → `Num Outputs` */
function titleOf(name: string): string {
  return name.replaceAll('_', ' ').replace(/\b[a-z]/g, (letter) => letter.toUpperCase());
}
