import { expect, test } from 'vitest';
import { IMAGE_NAME_PATTERN } from '#shared/schemas/image.ts';

const digest = 'ab'.repeat(32);

test.each([
  [`${digest}.png`, true],
  [`${digest}.jpg`, true],
  [`${digest}.jpeg`, true],
  [`${digest}.webp`, true],
  [`${digest.toUpperCase()}.png`, false],
  [`${digest.slice(1)}.png`, false],
  [`${digest}0.png`, false],
  [`${digest}.svg`, false],
  [`${digest}.html`, false],
  [`${digest}.gif`, false],
  [`${digest}`, false],
  [`${digest}.png/extra`, false],
  [`g${digest.slice(1)}.png`, false],
])('IMAGE_NAME_PATTERN on %s is %s', (name, expected) => {
  expect(IMAGE_NAME_PATTERN.test(name)).toBe(expected);
});
