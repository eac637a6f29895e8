import { describe, expect, it } from 'vitest';
import { buildOpenApi } from '../../gpu-fn/openapi.ts';
import { TEST_MODEL } from '../helpers/controlled-engine.ts';

// Each test reads the member that it is about.
// biome-ignore lint/suspicious/noExplicitAny: a JSON document
const document: any = buildOpenApi({ info: TEST_MODEL, version: 'test' });
const { schemas } = document.components;

describe('buildOpenApi()', () => {
  it('is OpenAPI 3.0.2 under Cog’s title', () => {
    expect(document.openapi).toBe('3.0.2');
    expect(document.info).toEqual({ title: 'Cog', version: 'test' });
  });

  it('says that predictions stream', () => {
    expect(document.paths['/predictions'].post['x-cog-streaming']).toBe(true);
  });

  it('numbers the inputs in order, the prompt first', () => {
    const orders = Object.values<{ 'x-order': number }>(schemas.Input.properties);
    expect(orders.map((property) => property['x-order'])).toEqual(orders.map((_, i) => i));
    expect(schemas.Input.properties.prompt).toEqual({
      title: 'Prompt',
      type: 'string',
      minLength: 1,
      maxLength: 2000,
      description: 'What to draw',
      'x-order': 0,
    });
    expect(schemas.Input.required).toEqual(['prompt']);
  });

  it('gives the limits and defaults of the loaded model', () => {
    expect(schemas.Input.properties.num_inference_steps).toMatchObject({
      title: 'Num Inference Steps',
      type: 'integer',
      minimum: 1,
      maximum: 8,
      default: 4,
      nullable: true,
    });
    expect(schemas.Input.properties.width).toMatchObject({ default: 64, nullable: true });
  });

  it('refers to choices as enum schemas of their own', () => {
    expect(schemas.Input.properties.output_format).toMatchObject({
      allOf: [{ $ref: '#/components/schemas/output_format' }],
      default: 'png',
    });
    expect(schemas.output_format).toEqual({
      title: 'output_format',
      type: 'string',
      description: 'An enumeration.',
      enum: ['png', 'jpeg', 'webp'],
    });
    expect(schemas.scheduler.enum).toEqual(['lcm']);
  });

  it('gives pictures as a growing list of URIs', () => {
    expect(schemas.Output).toEqual({
      title: 'Output',
      type: 'array',
      items: { type: 'string', format: 'uri' },
      'x-cog-array-type': 'iterator',
    });
  });

  it('refers to nothing that is not there', () => {
    const refs = JSON.stringify(document).match(/#\/components\/schemas\/\w+/g) ?? [];
    expect(refs.length).toBeGreaterThan(5);
    for (const ref of refs) expect(schemas).toHaveProperty(ref.split('/').at(-1)!);
  });
});
