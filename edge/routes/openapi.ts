/** `/openapi.json`: an OpenAPI 3.1 document, put together by hand around the schemas that requests are checked with. */
import type { Handler } from 'hono';
import * as z from 'zod';
import { ERRORS, type ErrorCode, openAiStatus } from '#shared/errors.ts';
import { completedEvent, errorEvent, partialImageEvent } from '#shared/schemas/event.ts';
import { generateRequest } from '#shared/schemas/generate.ts';
import { imagesResponse, modelList, modelObject } from '#shared/schemas/image.ts';
import { openAiErrorBody, problem } from '#shared/schemas/problem.ts';
import type { AppEnv, Deps } from '../app-env.ts';

const VERSION = '0.1.0';

export function openapi({ config }: Pick<Deps, 'config'>): Handler<AppEnv> {
  let document: unknown;
  return (c) => {
    document ??= buildDocument();
    const origin = config.publicOrigin ?? new URL(c.req.url).origin;
    return c.json({ ...(document as object), servers: [{ url: origin }] }, 200, {
      'Cache-Control': 'public, max-age=300',
    });
  };
}

/** The document without its servers. */
export function buildDocument(): Record<string, unknown> {
  const errors = { $ref: '#/components/responses/OpenAiError' };
  const digest = {
    name: 'name',
    in: 'path',
    required: true,
    description: 'Digest of the file and extension of its format: {64 hex}.png, .jpg or .webp',
    schema: { type: 'string', pattern: '^[0-9a-f]{64}\\.(png|jpg|jpeg|webp)$' },
  };
  return {
    openapi: '3.1.0',
    info: {
      title: 'pixart-edge',
      version: VERSION,
      description: 'Text to image: prompts in, pictures out.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    security: [{ apiKey: [] }],
    paths: {
      '/v1/images/generations': {
        post: {
          operationId: 'generateImages',
          summary: 'Draw pictures from a prompt',
          requestBody: {
            required: true,
            content: { 'application/json': { schema: ref('GenerateRequest') } },
          },
          responses: {
            200: {
              description: 'The pictures; a stream of events when `stream` is true',
              headers: answerHeaders(),
              content: {
                'application/json': { schema: ref('ImagesResponse') },
                'text/event-stream': {
                  schema: {
                    oneOf: [ref('PartialImageEvent'), ref('CompletedEvent'), ref('ErrorEvent')],
                  },
                },
              },
            },
            ...Object.fromEntries(generationStatuses().map((status) => [status, errors])),
          },
        },
      },
      '/v1/models': {
        get: {
          operationId: 'listModels',
          summary: 'List the models',
          responses: {
            200: json('The models', ref('ModelList')),
            401: errors,
            429: errors,
          },
        },
      },
      '/v1/models/{id}': {
        get: {
          operationId: 'retrieveModel',
          summary: 'One model',
          parameters: [
            {
              name: 'id',
              in: 'path',
              required: true,
              description: 'Id with its slash percent-encoded',
              schema: { type: 'string' },
            },
          ],
          responses: {
            200: json('The model', ref('Model')),
            401: errors,
            404: errors,
            429: errors,
          },
        },
      },
      '/i/{name}': {
        get: {
          operationId: 'readImage',
          summary: 'A picture by the digest of its bytes',
          security: [],
          parameters: [digest],
          responses: {
            200: {
              description: 'The file',
              content: Object.fromEntries(
                ['image/png', 'image/jpeg', 'image/webp'].map((type) => [type, {}]),
              ),
            },
            206: { description: 'A range of the file' },
            304: { description: 'Not modified' },
            404: { $ref: '#/components/responses/Problem' },
            416: { description: 'The range lies outside the file' },
          },
        },
      },
      '/healthz': probe('healthz', 'Whether the edge is alive'),
      '/readyz': probe('readyz', 'Whether a model server can take work'),
    },
    components: {
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'pxe_sk_…' } },
      responses: {
        OpenAiError: json('An error', ref('OpenAiError')),
        Problem: {
          description: 'An error',
          content: { 'application/problem+json': { schema: ref('Problem') } },
        },
      },
      schemas: {
        GenerateRequest: toSchema(generateRequest, 'input'),
        ImagesResponse: toSchema(imagesResponse),
        PartialImageEvent: toSchema(partialImageEvent),
        CompletedEvent: toSchema(completedEvent),
        ErrorEvent: toSchema(errorEvent),
        Model: toSchema(modelObject),
        ModelList: toSchema(modelList),
        OpenAiError: toSchema(openAiErrorBody),
        Problem: toSchema(problem),
      },
    },
  };
}

/** Statuses that a generation can be refused with, from the table of errors. */
function generationStatuses(): number[] {
  const never: ErrorCode[] = ['range_not_satisfiable', 'idempotency_mismatch', 'image_invalid'];
  const codes = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => !never.includes(code));
  return [...new Set(codes.map(openAiStatus))].sort((a, b) => a - b);
}

function toSchema(schema: z.ZodType, io: 'input' | 'output' = 'output'): unknown {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}

function ref(name: string) {
  return { $ref: `#/components/schemas/${name}` };
}

function json(description: string, schema: unknown) {
  return { description, content: { 'application/json': { schema } } };
}

function probe(operationId: string, summary: string) {
  return {
    get: {
      operationId,
      summary,
      security: [],
      responses: { 200: { description: 'Yes' }, 503: { $ref: '#/components/responses/Problem' } },
    },
  };
}

function answerHeaders() {
  const text = (description: string) => ({ description, schema: { type: 'string' } });
  return {
    'X-Request-Id': text('Names this request in logs'),
    'Cache-Status': text('hit, fwd=miss, or fwd=miss; collapsed for a request that joined another'),
    'Server-Timing': text('Milliseconds by stage'),
    RateLimit: text('What is left of each budget'),
    'RateLimit-Policy': text('The budgets'),
    'Pixart-Warning': text('Codes of the warnings'),
  };
}
