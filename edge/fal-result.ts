/** What fal's clients get for a finished prediction. */

import type { OutputFile, PredictionRecord } from './account-protocol.ts';
import { mediaTypeOf } from './media-types.ts';
import { urlOf } from './prediction-object.ts';

/**
 * @param toUrl  where a picture is; absent: its URL here
 */
export function toFalResult(
  record: PredictionRecord,
  toUrl: (file: OutputFile) => string = (file) => urlOf(file, record.origin),
) {
  const { output, input, startedMs, completedMs } = record;
  const files = output ?? [];
  const inference =
    startedMs === null || completedMs === null
      ? {}
      : { inference: (completedMs - startedMs) / 1000 };
  return {
    images: files.map((file) => ({
      url: toUrl(file),
      width: file.width,
      height: file.height,
      content_type: mediaTypeOf(file.format),
    })),
    timings: inference,
    seed: files[0]?.seed ?? null,
    has_nsfw_concepts: files.map(() => false),
    prompt: input.prompt,
  };
}
