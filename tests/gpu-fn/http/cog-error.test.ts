import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { ServiceError } from '#shared/errors.ts';
import { renderError, toValidationError, ValidationError } from '../../../gpu-fn/http/cog-error.ts';

describe('renderError()', () => {
  it('gives a full queue as 409, as Cog does, with whole seconds rounded up', () => {
    const error = new ServiceError('overloaded', { detail: 'Busy.', retryAfterMs: 1001 });
    expect(renderError(error)).toEqual({
      status: 409,
      code: 'overloaded',
      body: { error: 'Busy.', status: 'failed', code: 'overloaded' },
      headers: { 'Retry-After': '2' },
    });
  });

  it('gives a refused parameter as a list with its place', () => {
    const error = new ServiceError('invalid_parameter', { detail: 'too wide', param: 'width' });
    expect(renderError(error)).toMatchObject({
      status: 422,
      body: {
        detail: [{ loc: ['body', 'input', 'width'], msg: 'too wide', type: 'value_error' }],
      },
    });
  });

  it('keeps what is for the log', () => {
    const error = new ServiceError('internal_error', { message: 'at /secret', detail: 'Sorry.' });
    expect(JSON.stringify(renderError(error))).not.toContain('/secret');
  });

  it('names the way to authenticate with 401', () => {
    const { status, headers } = renderError(new ServiceError('invalid_signature'));
    expect([status, headers]).toEqual([401, { 'WWW-Authenticate': 'Pixart-Signature' }]);
  });
});

describe('toValidationError()', () => {
  const parse = (value: unknown) =>
    z
      .object({ a: z.string(), b: z.object({ c: z.int() }) })
      .safeParse(value, { reportInput: true });

  it('lists each fault where it is, and tells missing fields from wrong ones', () => {
    const { error } = parse({ b: { c: 1.5 } });
    const { faults } = toValidationError(error!, ['body', 'input']);
    expect(faults).toEqual([
      { loc: ['body', 'input', 'a'], msg: 'Field required', type: 'value_error.missing' },
      { loc: ['body', 'input', 'b', 'c'], msg: expect.any(String), type: 'value_error' },
    ]);
  });

  it('calls the value itself __root__, as Cog does', () => {
    const { error } = parse([1]);
    expect(toValidationError(error!, ['body', 'input'])).toBeInstanceOf(ValidationError);
    expect(toValidationError(error!, ['body', 'input']).faults[0]?.loc).toEqual([
      'body',
      'input',
      '__root__',
    ]);
  });
});
