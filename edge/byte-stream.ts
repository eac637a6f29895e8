/** Records of a stream as bytes: filled as it is read; leaving it stops the work behind it. */
export function toByteStream(
  frames: AsyncGenerator<string, void, undefined>,
  leave: () => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    pull: async (out) => {
      const { done, value } = await frames.next();
      if (done) out.close();
      else out.enqueue(encoder.encode(value));
    },
    cancel: async () => {
      leave();
      await frames.return();
    },
  });
}
