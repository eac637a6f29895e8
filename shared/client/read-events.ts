/** JSON events of a response body, with a watch for silence: the server gives a sign of life each second. */
import { SseDecoder, SseError, type SseItem } from '../sse.ts';
import { orLost } from './call.ts';
import { InvalidResponseError, TimeoutError } from './errors.ts';

/** One record holds a whole picture in base64: two megapixels of noise as PNG are below 12 MB. */
const RECORD_LENGTH_MAX = 32 * 1024 * 1024;

/**
 * @throws {TimeoutError} after `idleMs` without a byte
 * @throws {ConnectionError} when the connection breaks
 * @throws {InvalidResponseError} on what are no events
 */
export async function* readEvents(
  response: Response,
  idleMs: number,
): AsyncGenerator<Record<string, unknown>, void, undefined> {
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
    throw new InvalidResponseError('The server answered with something other than events.');
  }
  const reader = response.body!.getReader();
  const decoder = new SseDecoder({ bytesMax: RECORD_LENGTH_MAX });
  try {
    for (;;) {
      const { done, value } = await readInTime(reader, idleMs);
      if (done) return;
      for (const item of decode(decoder, value)) {
        if (item.kind === 'event' && item.data !== '[DONE]') yield parse(item.data);
      }
    }
  } finally {
    // Whoever stops reading stops the server too.
    void reader.cancel().catch(() => undefined);
  }
}

async function readInTime(reader: ReadableStreamDefaultReader<Uint8Array>, idleMs: number) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `The server was silent for ${idleMs} ms.`;
      reject(new TimeoutError(message, { retryable: true }));
    }, idleMs);
  });
  try {
    return await Promise.race([orLost(reader.read()), silence]);
  } finally {
    clearTimeout(timer);
  }
}

function decode(decoder: SseDecoder, chunk: Uint8Array): SseItem[] {
  try {
    return decoder.push(chunk);
  } catch (cause) {
    if (!(cause instanceof SseError)) throw cause;
    throw new InvalidResponseError('The server sent unusable events.', { cause });
  }
}

function parse(data: string): Record<string, unknown> {
  try {
    return JSON.parse(data) as Record<string, unknown>;
  } catch (cause) {
    throw new InvalidResponseError('An event is not JSON.', { retryable: true, cause });
  }
}
