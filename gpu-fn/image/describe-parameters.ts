/** What a picture was made from, as people and tools read it: the prompts, then one line of parameters. */
import type { GenerateOptions } from '../pipeline/components.ts';

export function describeParameters(options: GenerateOptions): string {
  const { negativePrompt = '', edit } = options;
  const parameters = [
    `Steps: ${options.numInferenceSteps}`,
    `Sampler: ${options.sampler}`,
    `CFG scale: ${options.guidanceScale}`,
    `Seed: ${options.seed}`,
    `Size: ${options.width}x${options.height}`,
    ...(options.style === undefined ? [] : [`Style: ${options.style}`]),
    ...(edit === undefined ? [] : [`Denoising strength: ${edit.strength}`]),
  ];
  return [
    options.prompt,
    ...(negativePrompt === '' ? [] : [`Negative prompt: ${negativePrompt}`]),
    parameters.join(', '),
  ].join('\n');
}
