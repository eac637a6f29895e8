/** A body against a schema; the first complaint becomes the error. */
import type * as z from 'zod';
import { isErrorCode, ServiceError } from '#shared/errors.ts';
import type { JsonObject } from '#shared/json.ts';

/** @throws {ServiceError} `missing_parameter`, `invalid_parameter`, or the code that the schema names */
export function parseRequest<T>(schema: z.ZodType<T>, body: JsonObject): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const param = toPath(issue?.path ?? []);
  if (issue?.code === 'invalid_type' && valueAt(body, issue.path) === undefined) {
    throw new ServiceError('missing_parameter', { param, detail: `${param} is required.` });
  }
  const named: unknown = issue?.code === 'custom' ? issue.params?.code : undefined;
  throw new ServiceError(isErrorCode(named) ? named : 'invalid_parameter', {
    param,
    detail: `${param} ${issue?.message ?? 'is not usable'}.`,
  });
}

/**
 * The same for the routes that are ours alone: a member that is not known is refused.
 *
 * @throws {ServiceError} as `parseRequest`, and `unknown_parameter`
 */
export function parseOwnRequest<T>(schema: z.ZodObject & z.ZodType<T>, body: JsonObject): T {
  const unknown = Object.keys(body).find((name) => !Object.hasOwn(schema.shape, name));
  if (unknown !== undefined) {
    const param = unknown.slice(0, 64).toWellFormed();
    throw new ServiceError('unknown_parameter', { param, detail: `${param} is not known here.` });
  }
  return parseRequest(schema, body);
}

/** `["loras", 0, "id"]` → `loras[0].id`. */
function toPath(path: readonly PropertyKey[]): string {
  return path
    .map((part, i) =>
      typeof part === 'number' ? `[${part}]` : `${i > 0 ? '.' : ''}${String(part)}`,
    )
    .join('');
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  let value = body;
  for (const part of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[part];
  return value;
}
