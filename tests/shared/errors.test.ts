import { describe, expect, test } from 'vitest';
import { ERRORS, isErrorCode, openAiStatus, ServiceError } from '#shared/errors.ts';

describe('ERRORS', () => {
  test.each([
    ['invalid_parameter', 422, 400, 'invalid_value'],
    ['prompt_too_long', 422, 400, 'invalid_value'],
    ['prompt_empty', 422, 400, 'invalid_value'],
    ['missing_parameter', 422, 400, 'missing_required_parameter'],
    ['missing_credentials', 401, 401, 'invalid_api_key'],
    ['invalid_credentials', 401, 401, 'invalid_api_key'],
    ['scope_denied', 403, 403, 'insufficient_scope'],
    ['origin_not_allowed', 403, 403, 'origin_not_allowed'],
    ['model_not_found', 404, 404, 'model_not_found'],
    ['not_found', 404, 404, 'unknown_url'],
    ['payload_too_large', 413, 413, 'request_too_large'],
    ['rate_limited', 429, 429, 'rate_limit_exceeded'],
    ['quota_exhausted', 429, 429, 'insufficient_quota'],
    ['overloaded', 503, 503, 'capacity_unavailable'],
    ['upstream_lost', 503, 503, 'capacity_unavailable'],
    ['model_unavailable', 503, 503, 'starting'],
    ['upstream_invalid_response', 502, 502, 'backend_error'],
    ['internal_error', 500, 500, 'backend_error'],
    ['deadline_exceeded', 504, 504, 'timeout'],
    ['upstream_stalled', 504, 504, 'timeout'],
    ['idempotency_mismatch', 422, 422, 'idempotency_mismatch'],
  ] as const)('ERRORS.%s is %i, and %i %s for OpenAI clients', (code, ours, openai, word) => {
    expect(ERRORS[code].status).toBe(ours);
    expect(openAiStatus(code)).toBe(openai);
    expect(ERRORS[code].openai.code).toBe(word);
  });

  test('ERRORS has no 422 but idempotency_mismatch on the OpenAI surface', () => {
    const codes = Object.keys(ERRORS).filter(isErrorCode);
    expect(codes.filter((code) => openAiStatus(code) === 422)).toEqual(['idempotency_mismatch']);
  });
});

describe('ServiceError', () => {
  test('ServiceError keeps the text for the log apart from the text for the caller', () => {
    const error = new ServiceError('overloaded', {
      detail: 'Try again in 4 seconds.',
      message: 'queue holds 8 of 8',
      retryAfterMs: 4000,
    });
    expect(error.message).toBe('queue holds 8 of 8');
    expect(error.detail).toBe('Try again in 4 seconds.');
    expect([error.status, error.retryable, error.retryAfterMs]).toEqual([503, true, 4000]);
  });

  test('ServiceError speaks its title when nothing more is known', () => {
    expect(new ServiceError('not_found').detail).toBe('There is nothing here.');
  });
});

test('isErrorCode() knows only own members of the table', () => {
  expect(isErrorCode('overloaded')).toBe(true);
  expect(isErrorCode('constructor')).toBe(false);
  expect(isErrorCode(503)).toBe(false);
});
