/**
 * Server-sent events, encode and decode.
 *
 * The decoder follows the WHATWG algorithm (HTML, §9.2.6) with three differences: it is bounded, comments are
 * handed out too (they are the heartbeat of our streams), and text that is not UTF-8 is an error.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */

export interface SseEvent {
  readonly kind: 'event';
  /** `message` when the stream names none. */
  readonly event: string;
  readonly data: string;
  /** Last id seen, empty before the first. */
  readonly id: string;
}

export interface SseComment {
  readonly kind: 'comment';
  readonly text: string;
}

export type SseItem = SseEvent | SseComment;

/** The stream is not usable: too long a record, or not UTF-8. */
export class SseError extends Error {
  override readonly name = 'SseError';
}

/** One record with its closing blank line. Line ends inside `data` become several `data:` lines. */
export function encodeSseEvent(record: {
  readonly event?: string;
  readonly id?: string;
  readonly data: string;
}): string {
  const { event, id, data } = record;
  let text = '';
  if (event !== undefined) text += `event: ${oneLine(event)}\n`;
  if (id !== undefined) text += `id: ${oneLine(id)}\n`;
  for (const line of data.split(/\r\n|\r|\n/)) text += `data: ${line}\n`;
  return `${text}\n`;
}

export function encodeSseComment(comment: string): string {
  return `: ${oneLine(comment)}\n\n`;
}

function oneLine(text: string): string {
  if (/[\r\n\0]/.test(text)) throw new SseError('event names, ids and comments have one line');
  return text;
}

/** Decodes a stream piece by piece. */
export class SseDecoder {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
  readonly #bytesMax: number;
  /** Pieces of the line that is being read; joined once its end is seen. */
  #line: string[] = [];
  #lineLength = 0;
  /** The last piece ended in CR: a LF at the start of the next one belongs to it. */
  #afterCr = false;
  #event = '';
  #data: string[] = [];
  #dataLength = 0;
  #id = '';

  /** @param bytesMax  bound of one record, in UTF-16 units: what is buffered at most */
  constructor({ bytesMax }: { readonly bytesMax: number }) {
    this.#bytesMax = bytesMax;
  }

  /** Whether a record has begun and not ended: the end of the stream would cut it off. */
  get inRecord(): boolean {
    return this.#lineLength > 0 || this.#data.length > 0;
  }

  /** @throws {SseError} */
  push(chunk: Uint8Array): SseItem[] {
    const items: SseItem[] = [];
    let text: string;
    try {
      text = this.#decoder.decode(chunk, { stream: true });
    } catch (cause) {
      throw new SseError('the stream is not UTF-8', { cause });
    }
    let from = 0;
    if (this.#afterCr && text.length > 0) {
      this.#afterCr = false;
      if (text[0] === '\n') from = 1;
    }
    const lineEnd = /[\r\n]/g;
    while (from < text.length) {
      lineEnd.lastIndex = from;
      const end = lineEnd.exec(text)?.index;
      if (end === undefined) {
        this.#keep(text.slice(from));
        break;
      }
      this.#keep(text.slice(from, end));
      const item = this.#endLine();
      if (item !== undefined) items.push(item);
      from = end + 1;
      if (text[end] === '\r') {
        if (from === text.length) this.#afterCr = true;
        else if (text[from] === '\n') from += 1;
      }
    }
    return items;
  }

  #keep(piece: string): void {
    if (piece.length === 0) return;
    this.#lineLength += piece.length;
    if (this.#lineLength + this.#dataLength > this.#bytesMax) {
      throw new SseError(`a record is longer than ${this.#bytesMax}`);
    }
    this.#line.push(piece);
  }

  #endLine(): SseItem | undefined {
    const line = this.#line.length === 1 ? this.#line[0]! : this.#line.join('');
    this.#line = [];
    this.#lineLength = 0;
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) {
      return { kind: 'comment', text: line[1] === ' ' ? line.slice(2) : line.slice(1) };
    }
    const field = colon < 0 ? line : line.slice(0, colon);
    const raw = colon < 0 ? '' : line.slice(colon + 1);
    const value = raw.startsWith(' ') ? raw.slice(1) : raw;
    if (field === 'data') {
      this.#data.push(value);
      this.#dataLength += value.length + 1;
    } else if (field === 'event') {
      this.#event = value;
    } else if (field === 'id' && !value.includes('\0')) {
      this.#id = value;
    }
    // `retry` and unknown fields have no meaning here.
    return undefined;
  }

  #dispatch(): SseEvent | undefined {
    const event = this.#event === '' ? 'message' : this.#event;
    const data = this.#data;
    this.#event = '';
    this.#data = [];
    this.#dataLength = 0;
    if (data.length === 0) return undefined;
    return { kind: 'event', event, data: data.join('\n'), id: this.#id };
  }
}

/** Items of a byte stream. A record that the end of the stream cuts off is dropped, as browsers do. */
export async function* decodeSse(
  stream: ReadableStream<Uint8Array>,
  { bytesMax }: { readonly bytesMax: number },
): AsyncGenerator<SseItem, void, undefined> {
  const decoder = new SseDecoder({ bytesMax });
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* decoder.push(value);
    }
  } finally {
    // Whoever stops reading stops the sender too; a stream that has ended or failed already does not mind.
    await reader.cancel().catch(() => undefined);
  }
}
