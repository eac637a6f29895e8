/** Server-sent events of a response body, one after the other. Comments and fields other than `data` are passed over. */

/** One event holds a whole picture in base64; a megabyte of pixels and more fits. */
const EVENT_LENGTH_MAX = 32 * 1024 * 1024;

/**
 * @param {ReadableStream<Uint8Array>} body
 * @param {() => void} [onBytes] called for every piece that arrives, comments too
 * @returns {AsyncGenerator<string>} the `data` of each event
 */
export async function* readEvents(body, onBytes = () => undefined) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onBytes();
      text += value;
      let end = text.search(/\r?\n\r?\n/);
      while (end >= 0) {
        const data = dataOf(text.slice(0, end));
        if (data !== '') yield data;
        text = text.slice(end).replace(/^\r?\n\r?\n/, '');
        end = text.search(/\r?\n\r?\n/);
      }
      if (text.length > EVENT_LENGTH_MAX)
        throw new RangeError('an event of the stream is too long');
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function dataOf(record) {
  return record
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(line.startsWith('data: ') ? 6 : 5))
    .join('\n');
}
