import { expect, test } from 'vitest';
import { MODEL_NAME_PATTERN, modelInfo } from '#shared/schemas/model.ts';

const nano = {
  id: 'pixart-edge/stickers-nano',
  revision: 'ab'.repeat(32),
  numeric_class: 'cpu-int8',
  license: 'Apache-2.0',
  native_size: [128, 128],
  sizes: [[128, 128]],
  max_sequence_length: 64,
  alpha: true,
  clean_caption: false,
  samplers: { lcm: { steps: { min: 1, max: 8, default: 4 } } },
  default_sampler: 'lcm',
  guidance: { min: 0, max: 0, default: 0 },
};

test('modelInfo accepts a list of sizes or the bins', () => {
  expect(modelInfo.safeParse(nano).success).toBe(true);
  expect(modelInfo.safeParse({ ...nano, sizes: 'bins' }).success).toBe(true);
});

test.each([
  { revision: 'AB'.repeat(32) },
  { revision: 'ab' },
  { sizes: [] },
  { default_sampler: 'dpm' },
  { default_sampler: 'constructor' },
  { id: 'a/b/c' },
  { samplers: { lcm: { steps: { min: 0, max: 8, default: 4 } } } },
])('modelInfo refuses %j', (member) => {
  expect(modelInfo.safeParse({ ...nano, ...member }).success).toBe(false);
});

test.each([
  ['stickers-nano', true],
  ['pixart-edge/stickers-nano', true],
  ['__proto__', true],
  ['', false],
  ['/a', false],
  ['a/', false],
  ['a//b', false],
  ['https://x', false],
  ['a b', false],
  ['a\n', false],
])('MODEL_NAME_PATTERN on %j is %s', (name, expected) => {
  expect(MODEL_NAME_PATTERN.test(name)).toBe(expected);
});
