import { expect, test } from 'vitest';
import * as z from 'zod';
import type { ServiceError } from '#shared/errors.ts';
import type { JsonObject } from '#shared/json.ts';
import { parseRequest } from '../../edge/parse-request.ts';

const schema = z.object({
  name: z.string(),
  loras: z.array(z.object({ id: z.string() })).optional(),
  text: z
    .string()
    .superRefine((value, context) => {
      if (value === '') {
        context.addIssue({ code: 'custom', message: 'is empty', params: { code: 'prompt_empty' } });
      }
    })
    .optional(),
});

const refusal = (body: JsonObject) => {
  try {
    return parseRequest(schema, body);
  } catch (error) {
    const { code, param, detail } = error as ServiceError;
    return [code, param, detail];
  }
};

test.each([
  [{ name: 'a' }, { name: 'a' }],
  [{}, ['missing_parameter', 'name', 'name is required.']],
  [
    { name: 'a', loras: [{ id: 'x' }, {}] },
    ['missing_parameter', 'loras[1].id', 'loras[1].id is required.'],
  ],
  [{ name: 'a', text: '' }, ['prompt_empty', 'text', 'text is empty.']],
])('parseRequest(%j) gives %j', (body, expected) => {
  expect(refusal(body)).toEqual(expected);
});

test('parseRequest() calls a wrong type invalid, not missing', () => {
  expect((refusal({ name: 1 }) as string[])[0]).toBe('invalid_parameter');
  expect((refusal({ name: null }) as string[])[0]).toBe('invalid_parameter');
});
