import { expect, test } from 'vitest';
import { cacheStatus } from '../../edge/cache-status.ts';

test.each([
  [['hit'], 'pixart-edge; hit; key="k"'],
  [['hit', 'hit'], 'pixart-edge; hit; key="k"'],
  [['miss'], 'pixart-edge; fwd=miss; key="k"'],
  [['hit', 'miss'], 'pixart-edge; fwd=miss; key="k"'],
  [['coalesced'], 'pixart-edge; fwd=miss; collapsed; key="k"'],
  [['coalesced', 'hit'], 'pixart-edge; fwd=miss; collapsed; key="k"'],
  [['coalesced', 'miss'], 'pixart-edge; fwd=miss; key="k"'],
] as const)('cacheStatus(%j) is %s', (outcomes, expected) => {
  expect(cacheStatus(outcomes, 'k')).toBe(expected);
});
