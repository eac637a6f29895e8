import { describe, expect, it } from 'vitest';
import { createDpmSolverScheduler } from '../../../gpu-fn/schedulers/dpm-solver.ts';
import { SchedulerError } from '../../../gpu-fn/schedulers/scheduler.ts';
import { createRandom } from '../../../gpu-fn/tensor/random.ts';
import {
  expectFixture,
  expectGoldenSteps,
  samplerGoldens,
  standIn,
} from '../../helpers/sampler-goldens.ts';

describe('createDpmSolverScheduler()', () => {
  it.each(samplerGoldens('dpm-solver++'))('steps as diffusers does: $name', (golden) => {
    expectGoldenSteps(createDpmSolverScheduler(golden.config), golden);
  });

  it.each([
    [4, [76.997894, -7.244327, -27.60787, -65.02224], 8.75344],
    [14, [41.172077, -10.859989, -15.606223, -33.666935], -3.65111],
    [15, [40.999012, -10.90018, -15.585058, -33.523445], -3.77745],
    [20, [40.208149, -10.982485, -15.277659, -32.816368], -4.00489],
  ])('reaches the reference values in %i steps', (steps, first, sum) => {
    expectFixture(createDpmSolverScheduler({}).schedule(steps), first, sum);
  });

  it('rounds timesteps half to even', () => {
    const { timesteps } = createDpmSolverScheduler({}).schedule(6);
    expect(timesteps).toEqual([999, 832, 666, 500, 333, 166]);
  });

  it('gives the predicted image in a single step, where the reference pipeline fails', () => {
    const schedule = createDpmSolverScheduler({}).schedule(1);
    const sample = createRandom(3).normal(16);
    const args = { stepIndex: 0, ...standIn(sample, 999), sample, random: createRandom(0) };
    const { prevSample, denoised } = schedule.step(args);
    expect(prevSample).toEqual(denoised);
  });

  it('reads a published configuration, whose lambda_min_clipped is minus infinity', () => {
    const published = {
      lambda_min_clipped: null,
      variance_type: null,
      algorithm_type: 'dpmsolver++',
    };
    expect(createDpmSolverScheduler(published).schedule(4).timesteps).toEqual([999, 749, 500, 250]);
  });

  it.each([
    { use_karras_sigmas: true },
    { algorithm_type: 'sde-dpmsolver++' },
    { solver_order: 3 },
    { thresholding: true },
    { lambda_min_clipped: -5.1 },
  ])('refuses %j, which it cannot follow', (config) => {
    expect(() => createDpmSolverScheduler(config)).toThrow(SchedulerError);
    expect(() => createDpmSolverScheduler(config)).toThrow(Object.keys(config)[0]!);
  });

  it.each([0, 1001, 2.5, Number.NaN])('DpmSolver.schedule() refuses %s steps', (count) => {
    expect(() => createDpmSolverScheduler({}).schedule(count)).toThrow('from 1 to 1000');
  });
});
