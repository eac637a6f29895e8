import { describe, expect, test } from 'vitest';
import { ServiceError } from '#shared/errors.ts';
import { renderError, toErrorEvent, toServiceError } from '../../edge/render-error.ts';

const where = { requestId: 'req_1', instance: '/v1/x' };

describe('renderError()', () => {
  test('renderError() puts OpenAI’s object and the problem into one body', async () => {
    const error = new ServiceError('invalid_parameter', { detail: 'n must be 1.', param: 'n' });
    const response = renderError(error, { surface: 'openai', ...where });
    expect(response.status).toBe(400);
    expect(response.headers.get('Content-Type')).toBe('application/json');
    expect(response.headers.get('x-should-retry')).toBeNull();
    expect(await response.json()).toEqual({
      error: {
        message: 'n must be 1.',
        type: 'invalid_request_error',
        param: 'n',
        code: 'invalid_value',
      },
      type: 'urn:pixart-edge:error:invalid_parameter',
      title: 'A parameter has an unusable value',
      status: 400,
      detail: 'n must be 1.',
      instance: '/v1/x',
      code: 'invalid_parameter',
      param: 'n',
      retryable: false,
      request_id: 'req_1',
    });
  });

  test('renderError() keeps our own status and type on our own surface', async () => {
    const error = new ServiceError('invalid_parameter');
    const response = renderError(error, { surface: 'problem', ...where });
    expect(response.status).toBe(422);
    expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    expect(await response.json()).not.toHaveProperty('error');
  });

  test('renderError() says when to come back, rounded up, and whether', () => {
    const response = renderError(new ServiceError('overloaded', { retryAfterMs: 1001 }), {
      surface: 'openai',
      ...where,
    });
    expect(response.headers.get('Retry-After')).toBe('2');
    expect(response.headers.get('retry-after-ms')).toBe('1001');
    expect(response.headers.get('x-should-retry')).toBe('true');
    const spent = renderError(new ServiceError('quota_exhausted'), { surface: 'openai', ...where });
    expect([spent.status, spent.headers.get('x-should-retry')]).toEqual([429, 'false']);
  });

  test('renderError() never says what only the log may know', async () => {
    const error = new ServiceError('upstream_lost', {
      message: 'connect 10.0.0.7',
      cause: new Error('x'),
    });
    const text = await renderError(error, { surface: 'openai', ...where }).text();
    expect(text).not.toContain('10.0.0.7');
  });
});

test('toServiceError() makes everything without a code our own fault', () => {
  const error = toServiceError(new TypeError('secret'));
  expect([error.code, error.detail, error.cause]).toEqual([
    'internal_error',
    'Something failed on our side.',
    expect.any(TypeError),
  ]);
  const known = new ServiceError('overloaded');
  expect(toServiceError(known)).toBe(known);
});

test('toErrorEvent() has OpenAI’s members and ours beside them', () => {
  const error = new ServiceError('upstream_stalled', { retryAfterMs: 500 });
  expect(toErrorEvent(error, 'req_1')).toEqual({
    type: 'error',
    error: {
      message: 'The model server went silent.',
      type: 'server_error',
      code: 'timeout',
      param: null,
      reason: 'upstream_stalled',
      retryable: true,
      request_id: 'req_1',
      retry_after_ms: 500,
    },
  });
});
