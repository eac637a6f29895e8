/** The wire's types as TypeScript text, out of the schemas that requests are checked with: the SDK needs no zod. */
import * as z from 'zod';
import { ERRORS } from '#shared/errors.ts';
import { completedEvent, partialImageEvent } from '#shared/schemas/event.ts';
import { IMAGE_FORMATS } from '#shared/schemas/fields.ts';
import { generateRequest } from '#shared/schemas/generate.ts';
import { imagesResponse } from '#shared/schemas/image.ts';
import { modelInfo } from '#shared/schemas/model.ts';

/** The part of JSON Schema that zod writes for our schemas. */
interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly prefixItems?: readonly JsonSchema[];
}

/** Declarations of everything that `shared/client/types.ts` names. */
export function describeWireTypes(): string {
  return [
    '/** What crosses the wire, written out from the schemas of the service. */',
    declare('GenerateRequest', generateRequest, 'input'),
    declare('ImagesResponse', imagesResponse, 'output'),
    declare('PartialImageEvent', partialImageEvent, 'output'),
    declare('CompletedEvent', completedEvent, 'output'),
    declare('ModelInfo', modelInfo, 'output'),
    `export type ErrorCode =\n  | ${words(Object.keys(ERRORS)).join('\n  | ')};`,
    `export type ImageFormat = ${words(IMAGE_FORMATS).join(' | ')};`,
    '',
  ].join('\n\n');
}

function declare(name: string, schema: z.ZodType, io: 'input' | 'output'): string {
  return `export interface ${name} ${toType(z.toJSONSchema(schema, { io }) as JsonSchema)}`;
}

/** @throws {Error} for what this knows no TypeScript for */
export function toType(schema: JsonSchema, indent = ''): string {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) {
    return [...new Set(choices.map((choice) => toType(choice, indent)))].join(' | ');
  }
  if (schema.enum !== undefined) return words(schema.enum).join(' | ');
  if (schema.const !== undefined) return words([schema.const]).join();
  if (Array.isArray(schema.type)) {
    return schema.type.map((type: string) => toType({ ...schema, type }, indent)).join(' | ');
  }
  switch (schema.type) {
    case 'string':
    case 'boolean':
    case 'null':
      return schema.type;
    case 'integer':
    case 'number':
      return 'number';
    case 'array':
      return toArray(schema, indent);
    case 'object':
      return toObject(schema, indent);
    case undefined:
      return 'unknown';
    default:
      throw new Error(`no TypeScript for the JSON Schema type ${schema.type}`);
  }
}

function toArray({ items, prefixItems }: JsonSchema, indent: string): string {
  if (prefixItems !== undefined) {
    return `readonly [${prefixItems.map((item) => toType(item, indent)).join(', ')}]`;
  }
  return `ReadonlyArray<${toType(items ?? {}, indent)}>`;
}

function toObject(schema: JsonSchema, indent: string): string {
  const { properties = {}, required = [], additionalProperties } = schema;
  const names = Object.keys(properties);
  if (names.length === 0 && typeof additionalProperties === 'object') {
    return `Readonly<Record<string, ${toType(additionalProperties, indent)}>>`;
  }
  const inner = `${indent}  `;
  const members = Object.entries(properties).map(([name, member]) => {
    const doc = member.description === undefined ? '' : `${inner}/** ${member.description} */\n`;
    const isRequired = required.includes(name);
    const type = toType(member, inner);
    return `${doc}${inner}readonly ${name}${isRequired ? '' : '?'}: ${type}${isRequired ? '' : ' | undefined'};`;
  });
  return `{\n${members.join('\n')}\n${indent}}`;
}

function words(values: readonly unknown[]): string[] {
  return values.map((value) =>
    typeof value === 'string' ? `'${value.replaceAll("'", "\\'")}'` : JSON.stringify(value),
  );
}
