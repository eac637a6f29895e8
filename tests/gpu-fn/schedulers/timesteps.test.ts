import { describe, expect, it } from 'vitest';
import {
  firstStep,
  roundHalfToEven,
  spacedTimesteps,
} from '../../../gpu-fn/schedulers/timesteps.ts';

const config = (timestep_spacing: 'linspace' | 'leading' | 'trailing', steps_offset = 0) => ({
  num_train_timesteps: 1000,
  timestep_spacing,
  steps_offset,
});

describe('spacedTimesteps()', () => {
  it.each([
    ['linspace', true, [999, 666, 333, 0]],
    ['linspace', false, [999, 749, 500, 250]],
    ['leading', true, [750, 500, 250, 0]],
    ['leading', false, [800, 600, 400, 200]],
    ['trailing', true, [999, 749, 499, 249]],
    ['trailing', false, [999, 749, 499, 249]],
  ] as const)(
    'of %s spacing, ending at zero %s, are those of numpy',
    (spacing, endsAtZero, four) => {
      expect(spacedTimesteps(config(spacing), 4, { endsAtZero })).toEqual(four);
    },
  );

  it('add the offset of leading spacing', () => {
    expect(spacedTimesteps(config('leading', 1), 2, { endsAtZero: true })).toEqual([501, 1]);
  });

  it('of a single linspace point is the start, as numpy has it', () => {
    expect(spacedTimesteps(config('linspace'), 1, { endsAtZero: true })).toEqual([0]);
  });
});

describe('firstStep()', () => {
  it.each([
    [20, 1, 0],
    [20, 0.5, 10],
    [20, 0.05, 19],
    [4, 0.1, 3],
    [4, 0, 4],
  ])('of %i steps with strength %d is %i', (count, strength, first) => {
    expect(firstStep(count, strength)).toBe(first);
  });
});

describe('roundHalfToEven()', () => {
  it.each([
    [166.5, 166],
    [832.5, 832],
    [499.5, 500],
    [0.49, 0],
    [2.51, 3],
  ])('of %d is %i', (value, rounded) => {
    expect(roundHalfToEven(value)).toBe(rounded);
  });
});
