/** The pictures of an input, decoded once for all pictures of its job. */
import { decodeMask, decodePicture, readPictureUri } from '../image/decode-picture.ts';
import type { Edit } from '../pipeline/components.ts';
import type { CompleteInput } from '../predictions/complete-input.ts';

/**
 * @returns undefined when there is no picture to start from
 * @throws {ServiceError} naming the field
 */
export async function decodeEdit(
  input: Pick<CompleteInput, 'image' | 'mask' | 'strength'>,
): Promise<Edit | undefined> {
  const { image, mask, strength } = input;
  if (image === undefined) return undefined;
  const picture = await decodePicture(readPictureUri(image, IMAGE), IMAGE);
  if (mask === undefined) return { image: picture, strength };
  return { image: picture, mask: await decodeMask(readPictureUri(mask, MASK), MASK), strength };
}

const IMAGE = { param: 'image' } as const;
const MASK = { param: 'mask' } as const;
