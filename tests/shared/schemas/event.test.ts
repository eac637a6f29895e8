import { expect, test } from 'vitest';
import { generationEvent } from '#shared/schemas/event.ts';

test('generationEvent tells events apart by type', () => {
  const error = {
    type: 'error',
    error: { message: 'm', type: 'server_error', code: 'timeout', param: null },
  };
  expect(generationEvent.parse(error).type).toBe('error');
  expect(generationEvent.safeParse({ ...error, type: 'ping' }).success).toBe(false);
});
