/** `replicate` against an exhausted budget: its six requests at once cost no work. */
import Replicate from 'replicate';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningEdge, startEdge } from '../helpers/edge.ts';
import { MODEL } from '../helpers/model.ts';

const model = MODEL.id as `${string}/${string}`;
let edge: RunningEdge;
let replicate: Replicate;

beforeAll(async () => {
  edge = await startEdge({ rate: 1, burst: 1 });
  replicate = new Replicate({ auth: edge.key, baseUrl: `${edge.url}/v1` });
});
afterAll(() => edge[Symbol.asyncDispose]());

test('replicate.run() that is over its budget is refused six times, and nothing is drawn', async () => {
  await replicate.run(model, { input: { prompt: 'the only one' } });
  const refused = replicate.run(model, { input: { prompt: 'one too many' } });
  const { response } = (await refused.catch((error: unknown) => error)) as { response: Response };
  expect(response.status).toBe(429);
  expect(Number(response.headers.get('Retry-After'))).toBeGreaterThan(0);
  const attempts = edge.log.filter(
    ({ event, status }) => event === 'request.completed' && status === 429,
  );
  expect(attempts).toHaveLength(6);
  // The isolate knows that the budget is empty: no object is asked.
  expect(attempts.every((attempt) => !Object.hasOwn(attempt, 'queue_ms'))).toBe(true);
  expect(edge.upstream.received).toHaveLength(1);
  const { results } = await replicate.predictions.list();
  expect(results).toHaveLength(1);
});
