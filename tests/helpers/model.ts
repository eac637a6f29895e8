/** A model as its bundle describes it, for tests that draw nothing. */
import type { ModelInfo } from '#shared/schemas/model.ts';

export const REVISION = 'ab'.repeat(32);

export const MODEL: ModelInfo = {
  id: 'pixart-edge/stickers-nano',
  revision: REVISION,
  numeric_class: 'cpu-int8',
  license: 'Apache-2.0',
  native_size: [128, 128],
  sizes: [[128, 128]],
  max_sequence_length: 64,
  alpha: true,
  clean_caption: false,
  samplers: { lcm: { steps: { min: 1, max: 8, default: 4 } } },
  default_sampler: 'lcm',
  guidance: { min: 0, max: 8, default: 0 },
};
