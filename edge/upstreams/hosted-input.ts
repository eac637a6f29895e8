/** From our prediction input to that of a hosted model, which has names and members of its own. */
import type { PredictionInput } from '#shared/schemas/prediction-input.ts';

/** Members that hosted text-to-image models share; the others mean something to our function only. */
const SHARED = [
  'prompt',
  'negative_prompt',
  'seed',
  'width',
  'height',
  'num_inference_steps',
  'guidance_scale',
  'num_outputs',
  'output_format',
  'output_quality',
  'image',
  'mask',
  'strength',
] as const satisfies readonly string[];

/**
 * @param overrides  members to set whatever was asked for; null leaves one out
 */
export function toHostedInput(
  input: PredictionInput,
  overrides: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const given = input as Readonly<Record<string, unknown>>;
  const members = SHARED.filter((name) => given[name] !== undefined && given[name] !== '').map(
    (name) => [name, given[name]] as const,
  );
  const all = { ...Object.fromEntries(members), ...overrides } as Record<string, unknown>;
  // Replicate's models say jpg.
  if (all.output_format === 'jpeg') all.output_format = 'jpg';
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
}
