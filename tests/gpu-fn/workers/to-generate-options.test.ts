import { describe, expect, it } from 'vitest';
import type { CompleteInput } from '../../../gpu-fn/predictions/complete-input.ts';
import { toGenerateOptions } from '../../../gpu-fn/workers/to-generate-options.ts';

describe('toGenerateOptions()', () => {
  const input = {
    prompt: 'a cat',
    negative_prompt: 'a dog',
    seed: 0xffff_fffe,
    width: 64,
    height: 128,
    num_inference_steps: 3,
    guidance_scale: 1.5,
    scheduler: 'lcm',
    num_outputs: 3,
    output_format: 'webp',
    output_quality: 80,
    size_policy: 'exact',
    background: 'opaque',
    strength: 0.8,
    metadata: 'minimal',
    control_scale: 1,
    return_edges: false,
    loras: [] as CompleteInput['loras'],
    decoder: 'fast',
  } as const;

  it('renames every field that the pipeline reads', () => {
    expect(toGenerateOptions(input, 0)).toEqual({
      prompt: 'a cat',
      negativePrompt: 'a dog',
      seed: 0xffff_fffe,
      width: 64,
      height: 128,
      numInferenceSteps: 3,
      guidanceScale: 1.5,
      sampler: 'lcm',
      sizePolicy: 'exact',
      background: 'opaque',
      loras: [],
      outputFormat: 'webp',
    });
  });

  it('counts the seed on from picture to picture, modulo 2³²', () => {
    const seeds = [0, 1, 2].map((i) => toGenerateOptions(input, i).seed);
    expect(seeds).toEqual([0xffff_fffe, 0xffff_ffff, 0]);
  });
});
