import { describe, expect, it } from 'vitest';
import { createSaSolverScheduler, defaultTau } from '../../../gpu-fn/schedulers/sa-solver.ts';
import { SchedulerError } from '../../../gpu-fn/schedulers/scheduler.ts';
import { expectFixture, expectGoldenSteps, samplerGoldens } from '../../helpers/sampler-goldens.ts';

describe('createSaSolverScheduler()', () => {
  it.each(samplerGoldens('sa-solver'))('steps as diffusers does: $name', (golden) => {
    expectGoldenSteps(createSaSolverScheduler(golden.config), golden);
  });

  it.each([
    [10, 0, [34.82341, -11.550635, -14.172352, -28.335472], -6.70163],
    [25, 0, [38.798725, -11.185281, -14.922375, -31.61042], -4.69153],
    [10, undefined, [0.308107, -3.25937, 0.046163, 2.432156], 4.95526],
    [25, undefined, [13.591052, -10.919423, -7.867718, -6.81638], -7.8678],
  ])('reaches the reference values in %i steps with τ %s', (steps, tau, first, sum) => {
    const options = tau === undefined ? {} : { tau: () => tau };
    expectFixture(createSaSolverScheduler({}, options).schedule(steps), first, sum);
  });

  it('draws noise in every step, also where none is added', () => {
    const drawn: number[] = [];
    const schedule = createSaSolverScheduler({}, { tau: () => 0 }).schedule(3);
    const sample = new Float32Array(16).fill(1);
    const random = {
      normal: (length: number) => {
        drawn.push(length);
        return new Float32Array(length);
      },
    };
    for (let stepIndex = 0; stepIndex < 3; stepIndex += 1) {
      schedule.step({ stepIndex, noisePred: sample, sample, random });
    }
    expect(drawn).toEqual([16, 16, 16]);
  });

  it('keeps what a run remembers to that run', () => {
    const scheduler = createSaSolverScheduler({});
    const first = scheduler.schedule(10);
    expectFixture(first, [0.308107, -3.25937, 0.046163, 2.432156], 4.95526);
    const again = scheduler.schedule(10);
    expectFixture(again, [0.308107, -3.25937, 0.046163, 2.432156], 4.95526);
  });

  it.each([{ predictor_order: 3 }, { corrector_order: 4 }, { use_karras_sigmas: true }])(
    'refuses %j, which it cannot follow',
    (config) => {
      expect(() => createSaSolverScheduler(config)).toThrow(SchedulerError);
      expect(() => createSaSolverScheduler(config)).toThrow(Object.keys(config)[0]!);
    },
  );
});

describe('defaultTau()', () => {
  it.each([
    [199, 0],
    [200, 1],
    [800, 1],
    [801, 0],
  ])('of timestep %i is %i', (timestep, tau) => {
    expect(defaultTau(timestep)).toBe(tau);
  });
});
