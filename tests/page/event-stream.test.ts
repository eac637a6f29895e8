import { describe, expect, it } from 'vitest';
import { readEvents } from '../../edge/public/event-stream.js';

type Bytes = Uint8Array<ArrayBuffer>;

/** A body that arrives in these pieces. */
function bodyOf(...pieces: (string | Bytes)[]): ReadableStream<Bytes> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) {
        controller.enqueue(typeof piece === 'string' ? encoder.encode(piece) : piece);
      }
      controller.close();
    },
  });
}

async function collect(body: ReadableStream<Bytes>): Promise<string[]> {
  const events: string[] = [];
  for await (const data of readEvents(body)) events.push(data);
  return events;
}

describe('readEvents()', () => {
  it('yields the data of each event, wherever the pieces end', async () => {
    const body = bodyOf('event: a\nda', 'ta: one\n', '\nevent: b\ndata: t', 'wo\n\n');
    expect(await collect(body)).toEqual(['one', 'two']);
  });

  it('passes over comments and events without data', async () => {
    expect(await collect(bodyOf(': ping\n\nevent: a\n\ndata: one\n\n'))).toEqual(['one']);
  });

  it('joins several lines of data, with either kind of line end', async () => {
    expect(await collect(bodyOf('data: one\r\ndata:two\r\n\r\n'))).toEqual(['one\ntwo']);
  });

  it('puts characters together that were cut in two', async () => {
    const bytes = new TextEncoder().encode('data: ü\n\n');
    expect(await collect(bodyOf(bytes.slice(0, 7), bytes.slice(7)))).toEqual(['ü']);
  });

  it('leaves out an event that was cut off by the end', async () => {
    expect(await collect(bodyOf('data: one\n\ndata: tw'))).toEqual(['one']);
  });

  it('says when bytes arrive, comments too', async () => {
    let count = 0;
    const body = bodyOf(': ping\n\n', 'data: one\n\n');
    for await (const _ of readEvents(body, () => {
      count += 1;
    }));
    expect(count).toBe(2);
  });
});
