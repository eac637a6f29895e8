/** A body of somebody else's, read no further than a bound and no longer than its watch. */
import type { Watch } from './watch.ts';

export interface BoundedBody {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether there was more than was read. */
  readonly isCut: boolean;
}

/** @throws what the watch throws */
export async function readBounded(
  response: Response,
  { watch, bytesMax }: { readonly watch: Watch; readonly bytesMax: number },
): Promise<BoundedBody> {
  const reader = response.body?.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    while (reader !== undefined && length <= bytesMax) {
      const { done, value } = await watch.guard(reader.read());
      if (done) break;
      watch.touch();
      chunks.push(value);
      length += value.length;
    }
  } finally {
    // Stalled or too long: whoever sends it is told that nobody listens.
    await reader?.cancel().catch(() => undefined);
  }
  const bytes = new Uint8Array(Math.min(length, bytesMax));
  let at = 0;
  for (const chunk of chunks) {
    const part = chunk.subarray(0, bytes.length - at);
    bytes.set(part, at);
    at += part.length;
  }
  return { bytes, isCut: length > bytesMax };
}
