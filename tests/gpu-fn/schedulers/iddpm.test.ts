import { describe, expect, it } from 'vitest';
import { createIddpmScheduler } from '../../../gpu-fn/schedulers/iddpm.ts';
import { createRandom } from '../../../gpu-fn/tensor/random.ts';
import { expectGoldenSteps, samplerGoldens } from '../../helpers/sampler-goldens.ts';

describe('createIddpmScheduler()', () => {
  it.each(samplerGoldens('iddpm'))('steps as a float64 transcription does: $name', (golden) => {
    expectGoldenSteps(createIddpmScheduler(golden.config), golden);
  });

  it('guides three channels, as the original code does, and reads the learned variance', () => {
    expect(createIddpmScheduler({})).toMatchObject({ guidedChannels: 3, readsVariance: true });
  });

  it('refuses to step without a learned variance', () => {
    const sample = new Float32Array(16).fill(1);
    const args = { stepIndex: 0, noisePred: sample, sample, random: createRandom(0) };
    expect(() => createIddpmScheduler({}).schedule(2).step(args)).toThrow('learned variance');
  });

  it.each([1, 1001, 2.5])('IddpmScheduler.schedule() refuses %s steps', (count) => {
    expect(() => createIddpmScheduler({}).schedule(count)).toThrow('from 2 to 1000');
  });

  it('starts in the middle with a strength below 1', () => {
    const full = createIddpmScheduler({}).schedule(10).timesteps;
    expect(createIddpmScheduler({}).schedule(10, { strength: 0.3 }).timesteps).toEqual(
      full.slice(7),
    );
  });
});
