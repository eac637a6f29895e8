/** From the wire's names (`CompleteInput`) to the pipeline's (`GenerateOptions`): the only place. */
import type { Edit, GenerateOptions } from '../pipeline/components.ts';
import type { CompleteInput } from '../predictions/complete-input.ts';

const SEED_COUNT = 2 ** 32;

/**
 * @param pictureIndex  from 0; picture i of a request is drawn with seed (seed + i) mod 2³²
 * @param edit          the decoded pictures of the input
 */
export function toGenerateOptions(
  input: CompleteInput,
  pictureIndex: number,
  edit?: Edit,
): GenerateOptions {
  return {
    prompt: input.prompt,
    negativePrompt: input.negative_prompt,
    width: input.width,
    height: input.height,
    numInferenceSteps: input.num_inference_steps,
    guidanceScale: input.guidance_scale,
    seed: (input.seed + pictureIndex) % SEED_COUNT,
    sampler: input.scheduler,
    sizePolicy: input.size_policy,
    background: input.background,
    loras: input.loras,
    outputFormat: input.output_format,
    ...(input.style !== undefined && { style: input.style }),
    ...(edit && { edit }),
  };
}
