import { describe, expect, test } from 'vitest';
import {
  decodeSse,
  encodeSseComment,
  encodeSseEvent,
  SseDecoder,
  SseError,
  type SseItem,
} from '#shared/sse.ts';

const encoder = new TextEncoder();

function decode(text: string | Uint8Array, bytesMax = 1000): SseItem[] {
  const bytes = typeof text === 'string' ? encoder.encode(text) : text;
  const whole = new SseDecoder({ bytesMax }).push(bytes);
  const one = new SseDecoder({ bytesMax });
  const singly = [...bytes].flatMap((byte) => one.push(Uint8Array.of(byte)));
  expect(singly, 'the same items however the bytes are cut').toEqual(whole);
  return whole;
}

const event = (data: string, more: object = {}) => ({
  kind: 'event',
  event: 'message',
  id: '',
  data,
  ...more,
});

describe('encodeSseEvent()', () => {
  test('encodeSseEvent() ends every record with a blank line', () => {
    expect(encodeSseEvent({ event: 'output', id: '3', data: '{"a":1}' })).toBe(
      'event: output\nid: 3\ndata: {"a":1}\n\n',
    );
    expect(encodeSseComment('keep-alive')).toBe(': keep-alive\n\n');
  });

  test('encodeSseEvent() gives each line of data a field, so that none can start another record', () => {
    const text = encodeSseEvent({ data: 'a\rb\nc\r\nevent: done\n\n' });
    expect(text).toBe('data: a\ndata: b\ndata: c\ndata: event: done\ndata: \ndata: \n\n');
    expect(decode(text)).toEqual([event('a\nb\nc\nevent: done\n\n')]);
  });

  test.each(['a\nb', 'a\rb', 'a\0b'])('encodeSseEvent() refuses the event name %j', (name) => {
    expect(() => encodeSseEvent({ event: name, data: '' })).toThrow(SseError);
    expect(() => encodeSseEvent({ id: name, data: '' })).toThrow(SseError);
    expect(() => encodeSseComment(name)).toThrow(SseError);
  });
});

describe('SseDecoder', () => {
  test.each([
    ['LF', 'data: a\n\ndata: b\n\n'],
    ['CRLF', 'data: a\r\n\r\ndata: b\r\n\r\n'],
    ['CR', 'data: a\r\rdata: b\r\r'],
    ['a byte-order mark', '\ufeffdata: a\n\ndata: b\n\n'],
  ])('SseDecoder.push() splits at %s', (_, text) => {
    expect(decode(text)).toEqual([event('a'), event('b')]);
  });

  test('SseDecoder.push() keeps the last id, resets the event name, and ignores an id with NUL', () => {
    const text = 'id: 1\nevent: start\ndata: x\n\ndata: y\n\nid: 2\0\ndata: z\n\n';
    expect(decode(text)).toEqual([
      event('x', { event: 'start', id: '1' }),
      event('y', { id: '1' }),
      event('z', { id: '1' }),
    ]);
  });

  test('SseDecoder.push() takes one space off, knows fields without a colon, ignores the rest', () => {
    expect(decode('data:a\ndata:  b\ndata\nretry: 1e99\nfoo: bar\n\n')).toEqual([event('a\n b\n')]);
    expect(decode('event: x\n\n')).toEqual([]);
  });

  test('SseDecoder.push() hands out comments, and only whole records', () => {
    expect(decode(': ping\n\n:\n\ndata: cut')).toEqual([
      { kind: 'comment', text: 'ping' },
      { kind: 'comment', text: '' },
    ]);
  });

  test('SseDecoder.push() passes multi-byte text and U+2028 through', () => {
    expect(decode('data: 🌵\u2028é\n\n')).toEqual([event('🌵\u2028é')]);
  });

  test('SseDecoder.push() takes a record up to its bound and no further', () => {
    expect(decode(`data: ${'x'.repeat(94)}\n\n`, 100)).toHaveLength(1);
    expect(() => decode(`data: ${'x'.repeat(95)}\n\n`, 100)).toThrow(SseError);
    expect(() => decode('data: 12345\n'.repeat(20), 100)).toThrow(SseError);
    expect(() => decode('x'.repeat(101), 100)).toThrow(SseError);
  });

  test('SseDecoder.push() refuses bytes that are not UTF-8', () => {
    expect(() => decode(Uint8Array.of(100, 97, 116, 97, 58, 0xff, 10, 10))).toThrow(SseError);
  });

  test('SseDecoder.push() reads a record of 4 MB that arrives in small pieces in linear time', () => {
    const decoder = new SseDecoder({ bytesMax: 5e6 });
    decoder.push(encoder.encode('data: '));
    const piece = encoder.encode('x'.repeat(1000));
    for (let i = 0; i < 4000; i += 1) decoder.push(piece);
    const [item] = decoder.push(encoder.encode('\n\n'));
    expect(item?.kind === 'event' && item.data.length).toBe(4e6);
  });
});

describe('decodeSse()', () => {
  test('decodeSse() cancels the stream when its reader stops', async () => {
    let canceled = false;
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(encoder.encode('data: a\n\n')),
      cancel: () => {
        canceled = true;
      },
    });
    for await (const item of decodeSse(stream, { bytesMax: 100 })) {
      expect(item).toEqual(event('a'));
      break;
    }
    expect(canceled).toBe(true);
  });

  test('decodeSse() ends with the stream', async () => {
    const stream = new Blob(['data: a\n\ndata: cut off']).stream();
    const items = [];
    for await (const item of decodeSse(stream, { bytesMax: 100 })) items.push(item);
    expect(items).toEqual([event('a')]);
  });
});
