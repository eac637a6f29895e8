/** Input of fal's image apps, as far as it has names of its own; everything else is called as it is for predictions. */
import * as z from 'zod';
import { IMAGES_PER_REQUEST_MAX, SIDE_MAX, SIDE_MIN } from '../limits.ts';
import { booleanField, integerField, showValue } from './fields.ts';

/** Width and height of the names that fal has for them. */
export const FAL_SIZES = {
  square_hd: [1024, 1024],
  square: [512, 512],
  portrait_4_3: [768, 1024],
  portrait_16_9: [576, 1024],
  landscape_4_3: [1024, 768],
  landscape_16_9: [1024, 576],
} as const satisfies Record<string, readonly [number, number]>;

const side = integerField(SIDE_MIN, SIDE_MAX);

export const falInput = z.looseObject({
  image_size: z
    .union(
      [
        z.enum(Object.keys(FAL_SIZES) as [keyof typeof FAL_SIZES, ...(keyof typeof FAL_SIZES)[]]),
        z.object({ width: side, height: side }),
      ],
      {
        error: (issue) =>
          `must be one of ${Object.keys(FAL_SIZES).join(', ')}, or width and height, not ${showValue(issue.input)}`,
      },
    )
    .nullish(),
  num_images: integerField(1, IMAGES_PER_REQUEST_MAX).nullish(),
  format: z.unknown().optional(),
  sync_mode: booleanField().nullish(),
  enable_safety_checker: booleanField().nullish(),
});
