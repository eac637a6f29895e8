import { expect, test } from 'vitest';
import { predictionInput } from '#shared/schemas/prediction-input.ts';

test('predictionInput fills in defaults and strips what it does not know', () => {
  expect(predictionInput.parse({ prompt: 'a cactus', webhook_secret: 'x' })).toEqual({
    prompt: 'a cactus',
    negative_prompt: '',
    num_outputs: 1,
    output_format: 'png',
    output_quality: 90,
    size_policy: 'fit',
    background: 'auto',
  });
});

test('predictionInput bounds the picture, not only its sides', () => {
  const parse = (width: number, height: number) =>
    predictionInput.safeParse({ prompt: 'a', width, height }).success;
  expect(parse(2048, 1024)).toBe(true);
  expect(parse(2048, 1040)).toBe(false);
});

test.each([
  { num_outputs: 11 },
  { output_quality: 0 },
  { output_format: 'gif' },
  { scheduler: '../lcm' },
  { seed: -1 },
  { prompt: '' },
])('predictionInput refuses %j', (member) => {
  expect(predictionInput.safeParse({ prompt: 'a', ...member }).success).toBe(false);
});
