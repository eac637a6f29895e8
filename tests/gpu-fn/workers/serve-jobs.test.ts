import { describe, expect, it } from 'vitest';
import { previewSteps } from '../../../gpu-fn/workers/serve-jobs.ts';

describe('previewSteps()', () => {
  it.each([
    [4, 0, []],
    [4, 1, [1]],
    [4, 2, [0, 1]],
    [4, 3, [0, 1, 2]],
    [4, 4, [0, 1, 2, 3]],
    [4, 100, [0, 1, 2, 3]],
    [1, 1, [0]],
    [20, 3, [4, 9, 14]],
  ])('of %i steps and %i previews are %j', (stepCount, count, steps) => {
    expect([...previewSteps({ stepCount, count })]).toEqual(steps);
  });
});
