import { describe, expect, it } from 'vitest';
import { createLcmScheduler } from '../../../gpu-fn/schedulers/lcm.ts';
import { SchedulerError } from '../../../gpu-fn/schedulers/scheduler.ts';
import { createRandom, type Random } from '../../../gpu-fn/tensor/random.ts';
import golden from '../../fixtures/golden/schedulers/lcm.json' with { type: 'json' };
import { hashInput } from '../../helpers/hash-tensor.ts';

const float32 = (values: readonly number[]) => Float32Array.from(values);
/** Hands out the noise of the golden run; a draw where the reference drew nothing is an error. */
const replay = (noise: readonly number[] | null): Random => ({
  normal(length) {
    if (noise?.length !== length) throw new Error(`unexpected draw of ${length}`);
    return float32(noise);
  },
});

/** Two float32 steps: PyTorch's square root may be off by one, and two of them meet in a sum. */
const TOLERANCE = 2 ** -22;
/** Largest difference over largest value. */
const relativeError = (actual: Float32Array, expected: readonly number[]) =>
  Math.max(...actual.map((value, i) => Math.abs(value - expected[i]!))) /
  Math.max(...expected.map(Math.abs));

describe('createLcmScheduler()', () => {
  it.each([
    [1, [999]],
    [2, [999, 499]],
    [3, [999, 679, 339]],
    [4, [999, 759, 499, 259]],
    [5, [999, 799, 599, 399, 199]],
    [6, [999, 839, 679, 499, 339, 179]],
    [8, [999, 879, 759, 639, 499, 379, 259, 139]],
  ])('LcmScheduler.schedule() of %i steps has the timesteps of diffusers', (count, timesteps) => {
    expect(createLcmScheduler({}).schedule(count).timesteps).toEqual(timesteps);
  });

  it.each([0, 51, 2.5, Number.NaN])('LcmScheduler.schedule() refuses %s steps', (count) => {
    expect(() => createLcmScheduler({}).schedule(count)).toThrow(SchedulerError);
    expect(() => createLcmScheduler({}).schedule(count)).toThrow('from 1 to 50');
  });

  it('LcmScheduler.schedule() allows as many steps as the distillation had, 50', () => {
    const { timesteps } = createLcmScheduler({}).schedule(50);
    expect(timesteps).toHaveLength(50);
    expect(timesteps.at(-1)).toBe(19);
  });

  it.each(golden)(
    'LcmSchedule.step() gives what diffusers gives: $prediction_type, $steps steps',
    (run) => {
      const { prediction_type } = run;
      const schedule = createLcmScheduler({ prediction_type }).schedule(run.steps);
      expect(schedule.timesteps).toEqual(run.trace.map(({ timestep }) => timestep));
      for (const [stepIndex, entry] of run.trace.entries()) {
        const result = schedule.step({
          stepIndex,
          noisePred: float32(entry.noise_pred),
          sample: float32(entry.sample),
          random: replay(entry.noise),
        });
        expect(relativeError(result.denoised, entry.denoised)).toBeLessThanOrEqual(TOLERANCE);
        expect(relativeError(result.prevSample, entry.prev_sample)).toBeLessThanOrEqual(TOLERANCE);
      }
    },
  );

  // First four elements and sum of all 16, from a float32 reference; tolerance 1e-4 of the largest one.
  it.each([
    [1, [212.420151, 10.058461, -58.65316, -179.413071], 76.00047],
    [2, [150.15097, 4.847159, -43.485546, -130.501434], 49.72953],
    [4, [68.09552, -10.965876, -23.684259, -68.123199], 15.38427],
    [8, [8.546482, -10.141744, -2.294256, -15.586697], 13.80876],
  ])(
    'LcmSchedule.step() with its own noise reaches the reference after %i steps',
    (count, first, sum) => {
      const schedule = createLcmScheduler({}).schedule(count);
      const random = createRandom(0);
      let sample = hashInput('sched', [16]);
      for (const [stepIndex, timestep] of schedule.timesteps.entries()) {
        const noisePred = sample.map((x, i) => 0.3 * x + 0.5 * Math.sin(0.01 * timestep + i));
        sample = schedule.step({ stepIndex, noisePred, sample, random }).prevSample;
      }
      const tolerance = 1e-4 * Math.max(...sample.map(Math.abs));
      for (const [i, value] of first.entries()) {
        expect(Math.abs(sample[i]! - value)).toBeLessThanOrEqual(tolerance);
      }
      expect(Math.abs(sample.reduce((total, x) => total + x, 0) - sum)).toBeLessThanOrEqual(
        tolerance,
      );
    },
  );

  it('LcmSchedule.step() clips the predicted image only when the configuration says so', () => {
    const args = {
      stepIndex: 0,
      noisePred: float32([0, 0]),
      sample: float32([5, -0.001]),
      random: replay(null),
    };
    const free = createLcmScheduler({ prediction_type: 'epsilon' }).schedule(1).step(args);
    const clipped = createLcmScheduler({ clip_sample: true }).schedule(1).step(args);
    expect(free.denoised[0]).toBeGreaterThan(700);
    expect(clipped.denoised[0]).toBeCloseTo(1, 5);
    expect(clipped.denoised[1]).toBeCloseTo(-0.157, 3);
  });

  it('LcmSchedule.step() changes neither of its inputs', () => {
    const noisePred = float32([1, 2]);
    const sample = float32([3, 4]);
    const random = replay([0.5, 0.5]);
    createLcmScheduler({}).schedule(2).step({ stepIndex: 0, noisePred, sample, random });
    expect([...noisePred, ...sample]).toEqual([1, 2, 3, 4]);
  });

  it('LcmSchedule.step() refuses a prediction of another length and a step that is not there', () => {
    const schedule = createLcmScheduler({}).schedule(1);
    const args = { noisePred: float32([1]), sample: float32([1, 2]), random: replay(null) };
    expect(() => schedule.step({ ...args, stepIndex: 0 })).toThrow('noisePred has 1 values');
    expect(() => schedule.step({ ...args, sample: float32([1]), stepIndex: 1 })).toThrow('step 1');
  });

  it.each([
    ['thresholding', { thresholding: true }],
    ['original_inference_steps', { original_inference_steps: 0 }],
    ['timestep_scaling', { timestep_scaling: 0 }],
  ])('createLcmScheduler() refuses a %s that it cannot follow', (key, config) => {
    expect(() => createLcmScheduler(config)).toThrow(SchedulerError);
    expect(() => createLcmScheduler(config)).toThrow(key);
  });
});
