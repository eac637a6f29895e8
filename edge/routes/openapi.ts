/** `/openapi.json`: an OpenAPI 3.1 document, put together by hand around the schemas that requests are checked with. */
import type { Handler } from 'hono';
import * as z from 'zod';
import { ERRORS, type ErrorCode, openAiStatus } from '#shared/errors.ts';
import { SIDE_MAX } from '#shared/limits.ts';
import {
  createKeyRequest,
  createTokenRequest,
  keyList,
  keyObject,
  rotateKeyRequest,
  tokenObject,
  usageObject,
} from '#shared/schemas/api-key.ts';
import { completedEvent, errorEvent, partialImageEvent } from '#shared/schemas/event.ts';
import { generateRequest } from '#shared/schemas/generate.ts';
import { deletedImage, imagesResponse, modelList, modelObject } from '#shared/schemas/image.ts';
import { openAiErrorBody, problem } from '#shared/schemas/problem.ts';
import { FITS } from '#shared/variant.ts';
import type { AppEnv, Deps } from '../app-env.ts';
import { replicatePaths, replicateSchemas } from './replicate/describe-routes.ts';

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
      '/v1/images/{digest}': {
        delete: {
          operationId: 'deleteImage',
          summary: 'Delete a picture that the account had drawn',
          parameters: [
            {
              name: 'digest',
              in: 'path',
              required: true,
              description: 'Its id: SHA-256 of the file',
              schema: { type: 'string', pattern: '^[0-9a-f]{64}$' },
            },
          ],
          responses: {
            200: json('It is gone', toSchema(deletedImage)),
            ...Object.fromEntries([401, 403, 404, 429, 503].map((status) => [status, errors])),
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
      ...keyPaths(),
      ...replicatePaths(),
      '/i/{name}': {
        get: {
          operationId: 'readImage',
          summary: 'A picture by the digest of its bytes, or a variant of it',
          security: [],
          parameters: [digest, ...variantParameters(), ...signatureParameters()],
          responses: {
            200: {
              description: 'The file',
              content: pictureContent(),
            },
            206: { description: 'A range of the file' },
            304: { description: 'Not modified' },
            412: { description: 'If-Match names another file' },
            416: { description: 'The range lies outside the file' },
            ...problems(400, 403, 404, 410, 429, 502, 503, 504),
          },
        },
      },
      '/prompt/{text}': {
        get: {
          operationId: 'readPrompt',
          summary: 'The picture of a prompt, drawn when it is asked for the first time',
          security: [{ apiKey: [] }, {}],
          parameters: [
            {
              name: 'text',
              in: 'path',
              required: true,
              description: 'The prompt, percent-encoded',
              schema: { type: 'string', minLength: 1 },
            },
            ...promptParameters(),
            ...signatureParameters(),
          ],
          responses: {
            200: { description: 'The file', headers: answerHeaders(), content: pictureContent() },
            206: { description: 'A range of the file' },
            304: { description: 'Not modified' },
            412: { description: 'If-Match names another file' },
            416: { description: 'The range lies outside the file' },
            ...problems(400, 401, 403, 404, 422, 429, 500, 502, 503, 504),
          },
        },
      },
      '/healthz': probe('healthz', 'Whether the edge is alive'),
      '/metrics': {
        get: {
          operationId: 'readMetrics',
          summary: 'What the edge has counted, for Prometheus; scope admin',
          responses: {
            200: { description: 'Metrics', content: { 'text/plain': {} } },
            ...problems(401, 403, 429),
          },
        },
      },
      '/readyz': probe('readyz', 'Whether a model server can take work'),
      '/hooks/replicate': {
        post: {
          operationId: 'replicateHook',
          summary: 'Where Replicate tells that a prediction has changed; signed by it',
          security: [],
          responses: {
            200: { description: 'Heard, now or before' },
            202: { description: 'It concerns nobody here' },
            401: { $ref: '#/components/responses/Problem' },
            404: { $ref: '#/components/responses/Problem' },
          },
        },
      },
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
        CreateKeyRequest: toSchema(createKeyRequest, 'input'),
        RotateKeyRequest: toSchema(rotateKeyRequest, 'input'),
        Key: toSchema(keyObject),
        KeyList: toSchema(keyList),
        CreateTokenRequest: toSchema(createTokenRequest, 'input'),
        BrowserToken: toSchema(tokenObject),
        Usage: toSchema(usageObject),
        Model: toSchema(modelObject),
        ModelList: toSchema(modelList),
        ...replicateSchemas(),
        OpenAiError: toSchema(openAiErrorBody),
        Problem: toSchema(problem),
      },
    },
  };
}

/** Keys, tokens and usage. */
function keyPaths(): Record<string, unknown> {
  const id = {
    name: 'id',
    in: 'path',
    required: true,
    schema: { type: 'string', pattern: '^[a-z0-9]{12}$' },
  };
  const query = (name: string, description: string, schema: unknown) => ({
    name,
    in: 'query',
    description,
    schema,
  });
  const body = (name: string, required = true) => ({
    required,
    content: { 'application/json': { schema: ref(name) } },
  });
  const refused = problems(400, 401, 403, 413, 415, 422, 429, 503);
  return {
    '/v1/keys': {
      get: {
        operationId: 'listKeys',
        summary: 'Keys of the account; scope keys',
        responses: { 200: json('The keys', ref('KeyList')), ...problems(401, 403, 429, 503) },
      },
      post: {
        operationId: 'createKey',
        summary: 'Make a key; scope keys',
        requestBody: body('CreateKeyRequest'),
        responses: { 201: json('The key, shown this once', ref('Key')), ...refused },
      },
    },
    '/v1/keys/{id}': {
      get: {
        operationId: 'retrieveKey',
        summary: 'One key; scope keys',
        parameters: [id],
        responses: { 200: json('The key', ref('Key')), ...problems(401, 403, 404, 429, 503) },
      },
      delete: {
        operationId: 'revokeKey',
        summary: 'Revoke a key; scope keys',
        parameters: [id],
        responses: { 200: json('The key', ref('Key')), ...problems(401, 403, 404, 429, 503) },
      },
    },
    '/v1/keys/{id}/rotate': {
      post: {
        operationId: 'rotateKey',
        summary: 'Another secret for a key; scope keys',
        parameters: [id],
        requestBody: body('RotateKeyRequest', false),
        responses: {
          200: json('The key, shown this once', ref('Key')),
          ...problems(404),
          ...refused,
        },
      },
    },
    '/v1/tokens': {
      post: {
        operationId: 'createToken',
        summary: 'A browser token; scope generate, secret keys only',
        requestBody: body('CreateTokenRequest'),
        responses: { 201: json('The token', ref('BrowserToken')), ...refused },
      },
    },
    '/v1/usage': {
      get: {
        operationId: 'readUsage',
        summary: 'What keys have drawn, by day; without scope keys the own one',
        parameters: [
          query('key_id', 'One key', { type: 'string' }),
          query('days', 'Days back. Default 31', { type: 'integer', minimum: 1, maximum: 92 }),
        ],
        responses: {
          200: json('Usage', ref('Usage')),
          ...problems(400, 401, 403, 404, 429, 503),
        },
      },
    },
  };
}

function problems(...statuses: number[]): Record<string, unknown> {
  const problemResponse = { $ref: '#/components/responses/Problem' };
  return Object.fromEntries(statuses.map((status) => [status, problemResponse]));
}

/** Statuses that a generation can be refused with, from the table of errors. */
function generationStatuses(): number[] {
  const never: ErrorCode[] = [
    'range_not_satisfiable',
    'idempotency_mismatch',
    'image_invalid',
    'image_deleted',
  ];
  const codes = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => !never.includes(code));
  return [...new Set(codes.map(openAiStatus))].sort((a, b) => a - b);
}

function pictureContent() {
  return Object.fromEntries(['image/png', 'image/jpeg', 'image/webp'].map((type) => [type, {}]));
}

function inQuery(name: string, description: string, schema: unknown) {
  return { name, in: 'query', description, schema };
}

function variantParameters() {
  const side = { type: 'integer', minimum: 1, maximum: SIDE_MAX };
  return [
    inQuery('w', 'Pixels at most; never enlarged', side),
    inQuery('h', 'Pixels at most; never enlarged', side),
    inQuery('fit', 'How it fits into w and h', { type: 'string', enum: FITS }),
    inQuery('q', 'Quality of jpeg and webp', { type: 'integer', minimum: 1, maximum: 100 }),
  ];
}

function promptParameters() {
  const { shape } = generateRequest;
  const names = [
    'model',
    'seed',
    'width',
    'height',
    'negative_prompt',
    'steps',
    'guidance_scale',
  ] as const;
  return [
    ...names.map((name) => inQuery(name, shape[name].description ?? name, toSchema(shape[name]))),
    inQuery('fm', 'File format', { type: 'string', enum: ['png', 'jpeg', 'webp'] }),
    inQuery('q', 'Quality of jpeg and webp', { type: 'integer', minimum: 1, maximum: 100 }),
  ];
}

function signatureParameters() {
  return [
    inQuery('exp', 'Signed URLs: Unix seconds', { type: 'integer' }),
    inQuery('kid', 'Signed URLs: id of the key', { type: 'string' }),
    inQuery('scope', 'Signed URLs: account of a private picture', { type: 'string' }),
    inQuery('sig', 'Signed URLs: the signature', {
      type: 'string',
      pattern: '^[A-Za-z0-9_-]{43}$',
    }),
  ];
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
