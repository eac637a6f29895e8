import { expect, test } from 'vitest';
import { problem } from '#shared/schemas/problem.ts';

test('problem takes the codes of the table and no other', () => {
  const document = {
    type: 'about:blank',
    title: 't',
    status: 503,
    detail: 'd',
    code: 'overloaded',
    retryable: true,
    request_id: 'r',
  };
  expect(problem.safeParse(document).success).toBe(true);
  expect(problem.safeParse({ ...document, code: 'toString' }).success).toBe(false);
});
