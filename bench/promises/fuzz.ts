/**
 * Nothing that a caller sends ends in a 5xx, and no answer holds a secret.
 *
 *     node bench/promises/fuzz.ts [--small] [--json] [--seed N]
 *
 * Requests are made from the service's own OpenAPI document: each operation with bodies that follow its schema, break it in one
 * place, or have nothing to do with it; parameters likewise; headers with rubbish. The small form sends 300, the full one
 * 100,000. The function is a stand-in that takes everything, so that what fails is the edge.
 */
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { type RunningEdge, SIGNING_KEY, startEdge } from '../../tests/helpers/edge.ts';
import { type CommandOptions, type Report, runCommand } from './command.ts';

const RUNS = { full: 100_000, small: 300 };
const CONCURRENCY = 16;
const DEPTH_MAX = 4;

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly maxLength?: number;
}

interface Operation {
  readonly parameters?: readonly { name: string; in: string; schema?: Schema }[];
  readonly requestBody?: { content: Readonly<Record<string, { schema?: Schema }>> };
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface FuzzedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array<ArrayBuffer> | undefined;
}

const METHODS = new Set(['get', 'post', 'put', 'patch', 'delete', 'head', 'options']);

export async function measureFuzz(options: CommandOptions): Promise<Report> {
  const runs = RUNS[options.small ? 'small' : 'full'];
  await using edge = await startEdge({ bindings: { CORS_ORIGINS: 'https://allowed.example' } });
  const document = (await (await fetch(`${edge.url}/openapi.json`)).json()) as OpenApi;
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([method]) => METHODS.has(method))
      .map(([method, operation]) => ({ path, method, operation })),
  );
  const requests = fc.sample(fc.oneof(...operations.map((one) => toRequest(one, document))), {
    numRuns: runs,
    seed: options.seed | 0,
  });
  const findings: string[] = [];
  const statuses = new Map<string, number>();
  const forbidden = [edge.key, SIGNING_KEY.split(':')[1]!, new URL(edge.upstream.url).host];
  let next = 0;
  const work = async () => {
    for (let at = next++; at < requests.length; at = next++) {
      const request = requests[at]!;
      const answer = await send(edge, request);
      const kind = `${Math.floor(answer.status / 100)}xx`;
      statuses.set(kind, (statuses.get(kind) ?? 0) + 1);
      // 504 is what HTTP itself prescribes for a cache that must not ask.
      const isAsked =
        request.headers['Cache-Control'] === 'only-if-cached' && answer.status === 504;
      const isBad = (answer.status >= 500 && !isAsked) || answer.status === 0;
      const leak = forbidden.find((secret) => answer.text.includes(secret));
      if (isBad || leak !== undefined) {
        findings.push(
          `${request.method} ${request.path} ${String(request.body).slice(0, 200)}: ${isBad ? answer.status : 'a secret'} ${answer.text.slice(0, 200)}`,
        );
      }
      if (at % 5000 === 4999) options.progress(`${at + 1} of ${runs}`);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  const log = JSON.stringify(edge.log);
  for (const secret of forbidden.slice(0, 2)) {
    if (log.includes(secret)) findings.push('a secret in the log');
  }
  return {
    kept: findings.length === 0,
    figures: {
      requests: runs,
      operations: operations.length,
      findings: findings.length,
      ...Object.fromEntries([...statuses].toSorted()),
    },
    findings: findings.slice(0, 20),
  };
}

async function send(
  edge: RunningEdge,
  { method, path, headers, body }: FuzzedRequest,
): Promise<{ status: number; text: string }> {
  try {
    const response = await fetch(`${edge.url}${path}`, {
      method: method.toUpperCase(),
      headers: { Authorization: `Bearer ${edge.key}`, ...headers },
      ...(body !== undefined && { body }),
      redirect: 'manual',
    });
    const text = `${JSON.stringify([...response.headers])} ${await response.text()}`;
    return { status: response.status, text };
  } catch (error) {
    return { status: 0, text: String((error as Error).cause ?? error) };
  }
}

function toRequest(
  { path, method, operation }: { path: string; method: string; operation: Operation },
  document: OpenApi,
): fc.Arbitrary<FuzzedRequest> {
  const parameters = operation.parameters ?? [];
  const value = (schema: Schema | undefined) =>
    fc.oneof(
      { weight: 3, arbitrary: valid(schema ?? {}, document, 0).map((one) => String(one)) },
      { weight: 1, arbitrary: fc.string({ maxLength: 40 }) },
      { weight: 1, arbitrary: fc.constantFrom('', '..', '%00', '😀', '0', '-1', '1e99', 'null') },
    );
  const names = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name = '']) => name);
  const inPath = fc.tuple(
    ...names.map((name) => value(parameters.find((one) => one.name === name)?.schema)),
  );
  const queries = parameters.filter((one) => one.in === 'query');
  const inQuery = fc.tuple(
    ...queries.map(({ name, schema }) => fc.option(value(schema).map((one) => [name, one]))),
  );
  const content = operation.requestBody?.content ?? {};
  const hasBody = method !== 'get' && method !== 'head';
  const body = hasBody
    ? bodyOf(content['application/json']?.schema, document)
    : fc.constant(undefined);
  return fc.record({ inPath, inQuery, body, headers: headersOf(hasBody) }).map((parts) => {
    let filled = path;
    for (const [i, name] of names.entries()) {
      filled = filled.replace(`{${name}}`, encodeURIComponent(parts.inPath[i]!.toWellFormed()));
    }
    const pairs = parts.inQuery.filter((pair) => pair !== null) as string[][];
    const query = new URLSearchParams(pairs).toString();
    const { headers } = parts;
    return {
      method,
      path: query === '' ? filled : `${filled}?${query}`,
      headers,
      body: parts.body,
    };
  });
}

function headersOf(hasBody: boolean): fc.Arbitrary<Record<string, string>> {
  const visible = fc.string({
    unit: fc.constantFrom(...'abcXYZ019-_=;,"/*. '),
    maxLength: 40,
  });
  const some = fc.record(
    {
      Accept: fc.oneof(fc.constantFrom('*/*', 'text/event-stream', 'application/json'), visible),
      'Idempotency-Key': fc.oneof(fc.uuid(), visible),
      'Cache-Control': fc.constantFrom('no-cache', 'no-store', 'only-if-cached', 'max-age=x'),
      Prefer: fc.oneof(fc.constantFrom('wait=1', 'respond-async', 'wait=x'), visible),
      Origin: fc.constantFrom('https://allowed.example', 'null', 'https://evil.example'),
      Range: fc.oneof(fc.constantFrom('bytes=0-1', 'bytes=-0', 'bytes=9-1'), visible),
      'If-None-Match': visible,
      traceparent: visible,
      'X-Request-Id': visible,
    },
    { requiredKeys: [] },
  );
  const type = fc.oneof(
    { weight: 9, arbitrary: fc.constant('application/json') },
    { weight: 1, arbitrary: fc.constantFrom('text/plain', 'multipart/form-data; boundary=x', 'x') },
  );
  return fc.tuple(some, type).map(([headers, contentType]) => {
    const trimmed = Object.entries(headers).map(([name, text]) => [name, text.trim()]);
    return {
      ...Object.fromEntries(trimmed),
      ...(hasBody && { 'Content-Type': contentType }),
    } as Record<string, string>;
  });
}

/** A body that fits, one that fits but for one member, JSON of any kind, or bytes. */
function bodyOf(
  schema: Schema | undefined,
  document: OpenApi,
): fc.Arbitrary<string | Uint8Array<ArrayBuffer> | undefined> {
  const anything = fc.jsonValue({ maxDepth: 3 });
  const fits = valid(schema ?? {}, document, 0);
  const broken = fc
    .tuple(fits, fc.nat(), fc.oneof(anything, fc.constantFrom(...EDGES)))
    .map(([value, at, other]) => breakOne(value, at, other));
  return fc.oneof(
    { weight: 4, arbitrary: fits.map((value) => JSON.stringify(value)) },
    { weight: 8, arbitrary: broken.map((value) => JSON.stringify(value)) },
    { weight: 2, arbitrary: anything.map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: fc.string({ maxLength: 200 }) },
    {
      weight: 1,
      arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => new Uint8Array(bytes)),
    },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
}

/** Values on which programs have broken before. */
const EDGES: readonly unknown[] = [
  null,
  '',
  ' ',
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  2 ** 32,
  true,
  [],
  {},
  '\ud800',
  '\u0000',
  'a'.repeat(2001),
  'e\u0301'.repeat(40),
  '__proto__',
  '../../etc/passwd',
  '</s>',
  'data:image/png;base64,AAAA',
  'http://169.254.169.254/',
  { toString: 1 },
];

function breakOne(value: unknown, at: number, other: unknown): unknown {
  if (typeof value !== 'object' || value === null) return other;
  const names = Object.keys(value);
  if (names.length === 0) return { anything: other };
  return { ...value, [names[at % names.length]!]: other };
}

/** A value that the schema describes. */
function valid(schema: Schema, document: OpenApi, depth: number): fc.Arbitrary<unknown> {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split('/').at(-1)!;
    return valid(document.components.schemas[name] ?? {}, document, depth + 1);
  }
  if (depth > DEPTH_MAX) return fc.constant(null);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const variants = schema.anyOf ?? schema.oneOf;
  if (variants !== undefined) {
    return fc.oneof(...variants.map((one) => valid(one, document, depth + 1)));
  }
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type) {
    case 'string':
      return fc.oneof(
        fc.string({ maxLength: Math.min(schema.maxLength ?? 60, 60) }),
        fc.constantFrom('128x128', 'a red apple', '64x64', 'auto', 'pixart-edge/stickers-nano'),
        fc.string({ unit: 'grapheme', maxLength: 40 }),
      );
    case 'integer':
      return fc.integer(bounds(schema));
    case 'number':
      return fc.double({ ...bounds(schema), noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.array(valid(schema.items ?? {}, document, depth + 1), { maxLength: 3 });
    case 'object': {
      const members = Object.entries(schema.properties ?? {}).map(
        ([name, member]) => [name, valid(member, document, depth + 1)] as const,
      );
      const requiredKeys = schema.required ?? [];
      return fc.record(Object.fromEntries(members), { requiredKeys: [...requiredKeys] });
    }
    default:
      return fc.jsonValue({ maxDepth: 1 });
  }
}

/** Of numbers, so that most pictures stay few and small. */
function bounds({ minimum = -10, maximum = 1000 }: Schema): { min: number; max: number } {
  return { min: Math.max(minimum, -(2 ** 31)), max: Math.min(maximum, 2 ** 31 - 1) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runCommand('no 5xx and no secret for whatever is sent', measureFuzz);
}
