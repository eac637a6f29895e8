/**
 * Runs of samplers by diffusers, and the arithmetic stand-in for a network that they were made with.
 *
 * Values are compared step by step: each step starts from the golden's latents, so that an error shows where it is.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect } from 'vitest';
import type { DenoisingSchedule, Scheduler } from '../../gpu-fn/schedulers/scheduler.ts';
import { createRandom } from '../../gpu-fn/tensor/random.ts';
import { hashInput } from './hash-tensor.ts';

export interface SamplerGolden {
  readonly sampler: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly steps: number;
  readonly strength: number;
  readonly timesteps: readonly number[];
  readonly start: readonly number[];
  /** after each step */
  readonly samples: readonly (readonly number[])[];
}

const goldens = ['samplers', 'iddpm'].flatMap((name) => {
  const file = new URL(`../fixtures/golden/schedulers/${name}.json.gz`, import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(file)).toString('utf8')) as SamplerGolden[];
});

export function samplerGoldens(sampler: string): (SamplerGolden & { readonly name: string })[] {
  return goldens
    .filter((run) => run.sampler === sampler)
    .map((run) => {
      const { beta_start: _, beta_end: __, beta_schedule: ___, ...config } = run.config;
      const name = `${run.steps} steps, strength ${run.strength}, ${JSON.stringify(config)}`;
      return { ...run, name };
    });
}

/** Largest difference over largest value, per step. */
export const STEP_TOLERANCE = 1e-5;

export function expectGoldenSteps(scheduler: Scheduler, golden: SamplerGolden): void {
  const { steps, strength, timesteps, start, samples } = golden;
  const schedule = scheduler.schedule(steps, { strength });
  expect(schedule.timesteps).toEqual(timesteps);
  const random = createRandom(steps);
  const noise = random.normal(start.length); // the reference drew its first latents from this stream
  let sample = Float32Array.from(start);
  if (strength < 1) {
    const image = createRandom(1000).normal(start.length);
    expect(relativeError(schedule.addNoise({ image, noise, stepIndex: 0 }), start)).toBeLessThan(
      STEP_TOLERANCE,
    );
  }
  const errors = samples.map((expected, stepIndex) => {
    const args = { stepIndex, ...standIn(sample, timesteps[stepIndex]!), sample, random };
    const { prevSample } = schedule.step(args);
    sample = Float32Array.from(expected);
    return relativeError(prevSample, expected);
  });
  expect(Math.max(...errors)).toBeLessThan(STEP_TOLERANCE);
}

/** The network of the goldens: 0.3·x + 0.5·sin(0.01·t + i), and a variance that goes from −1 to 1. */
export function standIn(sample: Float32Array, timestep: number) {
  return {
    noisePred: sample.map((x, i) => 0.3 * x + 0.5 * Math.sin(0.01 * timestep + i)),
    variance: sample.map((_, i) => Math.cos(0.02 * timestep + i)),
  };
}

/** A whole run from the fixture input `sched`, with noise of seed 0. */
export function runFixture(schedule: DenoisingSchedule): Float32Array {
  const random = createRandom(0);
  let sample = hashInput('sched', [16]);
  for (const [stepIndex, timestep] of schedule.timesteps.entries()) {
    const args = { stepIndex, ...standIn(sample, timestep), sample, random };
    sample = schedule.step(args).prevSample;
  }
  return sample;
}

/** First four values and the sum of all 16, to six digits; tolerance 1e-4 of the largest value. */
export function expectFixture(
  schedule: DenoisingSchedule,
  first: readonly number[],
  sum: number,
): void {
  const sample = runFixture(schedule);
  const largest = Math.max(...sample.map(Math.abs));
  const total = sample.reduce((a, b) => a + b, 0);
  const off = [...first.map((value, i) => sample[i]! - value), total - sum].map(Math.abs);
  expect(Math.max(...off) / largest).toBeLessThanOrEqual(1e-4);
}

export function relativeError(actual: Float32Array, expected: readonly number[]): number {
  const differences = expected.map((value, i) => Math.abs(value - actual[i]!));
  return Math.max(...differences) / Math.max(...expected.map(Math.abs));
}
