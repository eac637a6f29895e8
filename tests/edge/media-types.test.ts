import { expect, test } from 'vitest';
import { formatOf, mediaTypeOf } from '../../edge/media-types.ts';

test('mediaTypeOf() and formatOf() are inverse, and know nothing else', () => {
  for (const format of ['png', 'jpeg', 'webp'] as const) {
    expect(formatOf(mediaTypeOf(format))).toBe(format);
  }
  expect(formatOf('image/svg+xml')).toBeUndefined();
  expect(formatOf(undefined)).toBeUndefined();
});
