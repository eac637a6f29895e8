/** Replicate's routes and fal's proxy in the OpenAPI document. */
import * as z from 'zod';
import {
  deploymentPatch,
  deploymentRequest,
  fileObject,
  predictionObject,
  predictionRequest,
} from '#shared/schemas/replicate.ts';

type Json = Record<string, unknown>;

interface Operation {
  readonly id: string;
  readonly summary: string;
  readonly parameters?: readonly Json[];
  readonly body?: Json;
  readonly responses: Json;
  readonly refusals: readonly number[];
  readonly open?: boolean;
}

const word = { type: 'string', pattern: '^[A-Za-z0-9._-]{1,64}$' };
const identifier = { type: 'string', pattern: '^[a-z2-7]{26}$' };
const inPath = (name: string, schema: Json): Json => ({ name, in: 'path', required: true, schema });
const inQuery = (name: string, schema: Json): Json => ({ name, in: 'query', schema });
const inHeader = (name: string, description: string): Json => ({
  name,
  in: 'header',
  description,
  schema: { type: 'string' },
});
const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: Json): Json => ({ content: { 'application/json': { schema } } });
const answer = (description: string, schema: Json): Json => ({ description, ...json(schema) });
const page = (schema: Json): Json => ({
  type: 'object',
  properties: {
    previous: { type: ['string', 'null'] },
    next: { type: ['string', 'null'] },
    results: { type: 'array', items: schema },
  },
});
const object: Json = { type: 'object' };

const owner = [inPath('owner', word), inPath('name', word)];
const id = [inPath('id', identifier)];
const reading = [401, 403, 404, 429, 503];
const creating = [400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 502, 503, 504];
const preferences = [
  inHeader('Prefer', 'wait, wait=SECONDS (1–60) or respond-async'),
  inHeader('Cancel-After', 'Duration such as 90, 90s or 1m30s, after which it is canceled'),
];

function create(operationId: string, summary: string, parameters: readonly Json[]): Operation {
  return {
    id: operationId,
    summary,
    parameters: [...parameters, ...preferences],
    body: ref('PredictionRequest'),
    responses: {
      201: answer('The prediction', ref('Prediction')),
      202: answer('The prediction, which goes on', ref('Prediction')),
    },
    refusals: creating,
  };
}

const read = (
  operationId: string,
  summary: string,
  schema: Json,
  parameters: readonly Json[] = [],
) =>
  ({
    id: operationId,
    summary,
    parameters,
    responses: { 200: answer(summary, schema) },
    refusals: [...reading, 400],
  }) satisfies Operation;

/** Path → method → operation. */
const OPERATIONS: Record<string, Record<string, Operation>> = {
  '/v1/predictions': {
    get: read(
      'listPredictions',
      'Predictions of the account, newest first',
      page(ref('Prediction')),
      [
        inQuery('cursor', { type: 'string' }),
        inQuery('created_after', { type: 'string', format: 'date-time' }),
        inQuery('created_before', { type: 'string', format: 'date-time' }),
      ],
    ),
    post: create('createPrediction', 'Draw with a version', []),
  },
  '/v1/predictions/{id}': { get: read('getPrediction', 'One prediction', ref('Prediction'), id) },
  '/v1/predictions/{id}/cancel': {
    post: read('cancelPrediction', 'Stop a prediction', ref('Prediction'), id),
  },
  '/v1/models/{owner}/{name}': { get: read('getModel', 'One model', object, owner) },
  '/v1/models/{owner}/{name}/versions': {
    get: read('listVersions', 'Versions of a model', page(object), owner),
  },
  '/v1/models/{owner}/{name}/versions/{version}': {
    get: read('getVersion', 'One version, with its openapi_schema', object, [
      ...owner,
      inPath('version', { type: 'string', pattern: '^[0-9a-f]{64}$' }),
    ]),
  },
  '/v1/models/{owner}/{name}/predictions': {
    post: create('createModelPrediction', 'Draw with a model', owner),
  },
  '/v1/search': {
    get: read('searchModels', 'Models that match', object, [inQuery('query', { type: 'string' })]),
  },
  '/v1/deployments': {
    get: read('listDeployments', 'Deployments of the account', page(object)),
    post: {
      id: 'createDeployment',
      summary: 'Name a model',
      body: ref('DeploymentRequest'),
      responses: { 201: answer('The deployment', object) },
      refusals: creating,
    },
  },
  '/v1/deployments/{owner}/{name}': {
    get: read('getDeployment', 'One deployment', object, owner),
    patch: {
      id: 'updateDeployment',
      summary: 'Change a deployment',
      parameters: owner,
      body: ref('DeploymentPatch'),
      responses: { 200: answer('The deployment', object) },
      refusals: creating,
    },
    delete: {
      id: 'deleteDeployment',
      summary: 'Delete a deployment',
      parameters: owner,
      responses: { 204: { description: 'Deleted' } },
      refusals: reading,
    },
  },
  '/v1/deployments/{owner}/{name}/predictions': {
    post: create('createDeploymentPrediction', 'Draw with a deployment', owner),
  },
  '/v1/files': {
    get: read('listFiles', 'Files of the account', page(ref('File'))),
    post: {
      id: 'createFile',
      summary: 'Upload a file: multipart, part content, and metadata as JSON',
      responses: { 201: answer('The file', ref('File')) },
      refusals: creating,
    },
  },
  '/v1/files/{id}': {
    get: read('getFile', 'One file', ref('File'), id),
    delete: {
      id: 'deleteFile',
      summary: 'Delete a file',
      parameters: id,
      responses: { 204: { description: 'Deleted' } },
      refusals: reading,
    },
  },
  '/v1/files/{id}/download': {
    get: {
      id: 'downloadFile',
      summary: 'The bytes of a file, by signature',
      open: true,
      parameters: [
        ...id,
        inQuery('owner', { type: 'string' }),
        inQuery('expiry', { type: 'integer' }),
        inQuery('signature', { type: 'string' }),
      ],
      responses: { 200: { description: 'The file' } },
      refusals: [401, 404],
    },
  },
  '/v1/account': { get: read('getAccount', 'Who calls', object) },
  '/v1/hardware': { get: read('listHardware', 'Hardware', { type: 'array', items: object }) },
  '/v1/collections': { get: read('listCollections', 'Collections: none', page(object)) },
  '/v1/webhooks/default/secret': {
    get: read('getWebhookSecret', 'Secret that webhooks are signed with', object),
    post: {
      id: 'rotateWebhookSecret',
      summary: 'Another secret; for a day both sign. Scope admin',
      responses: { 201: answer('The secret', object) },
      refusals: reading,
    },
  },
  '/fal/proxy': {
    post: {
      id: 'falProxy',
      summary: 'What @fal-ai/client means by x-fal-target-url',
      parameters: [inHeader('x-fal-target-url', 'Address at fal; it is taken apart, never called')],
      body: object,
      responses: { 200: answer('What fal would answer', object) },
      refusals: [...creating, 405],
    },
  },
};

export function replicatePaths(): Json {
  return Object.fromEntries(
    Object.entries(OPERATIONS).map(([path, methods]) => [
      path,
      Object.fromEntries(
        Object.entries(methods).map(([method, operation]) => [method, describe(operation)]),
      ),
    ]),
  );
}

export function replicateSchemas(): Json {
  return {
    PredictionRequest: toSchema(predictionRequest, 'input'),
    Prediction: toSchema(predictionObject),
    File: toSchema(fileObject),
    DeploymentRequest: toSchema(deploymentRequest, 'input'),
    DeploymentPatch: toSchema(deploymentPatch, 'input'),
  };
}

function describe({
  id: operationId,
  summary,
  parameters,
  body,
  responses,
  refusals,
  open,
}: Operation) {
  const refused = { $ref: '#/components/responses/Problem' };
  return {
    operationId,
    summary,
    ...(open === true && { security: [] }),
    ...(parameters !== undefined && parameters.length > 0 && { parameters }),
    ...(body !== undefined && { requestBody: { required: true, ...json(body) } }),
    responses: { ...responses, ...Object.fromEntries(refusals.map((status) => [status, refused])) },
  };
}

function toSchema(schema: z.ZodType, io: 'input' | 'output' = 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}
