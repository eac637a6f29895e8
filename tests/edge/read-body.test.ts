import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { readJsonBody } from '../../edge/read-body.ts';

const read = (body: BodyInit | null, headers: Record<string, string> = {}, bytesMax = 100) =>
  readJsonBody(
    new Request('http://h/', {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'application/json', ...headers },
      ...({ duplex: 'half' } as object),
    }) as never,
    { bytesMax, deadlineMs: 50 },
  ).catch((error: ServiceError) => error.code);

describe('readJsonBody()', () => {
  test('readJsonBody() reads a body that comes in pieces', async () => {
    const pieces = ['{"a":', '"é', '"}'].map((text) => new TextEncoder().encode(text));
    const stream = new ReadableStream({
      pull: (controller) => {
        const piece = pieces.shift();
        if (piece === undefined) controller.close();
        else controller.enqueue(piece);
      },
    });
    expect(await read(stream as never)).toEqual({ a: 'é' });
  });

  test('readJsonBody() takes as many bytes as allowed', async () => {
    const sized = (size: number) => `{"a":"${'x'.repeat(size - 8)}"}`;
    expect(await read(sized(100))).not.toBe('payload_too_large');
    expect(await read(sized(101))).toBe('payload_too_large');
  });

  test('readJsonBody() stops reading a body that is too long', async () => {
    let canceled = false;
    const stream = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(60)),
      cancel: () => {
        canceled = true;
      },
    });
    expect(await read(stream as never)).toBe('payload_too_large');
    expect(canceled).toBe(true);
  });

  test('readJsonBody() gives up on a body that does not end', async () => {
    const stream = new ReadableStream({ pull: () => new Promise(() => undefined) });
    expect(await read(stream as never)).toBe('request_timeout');
  });

  test.each([
    ['application/json', 'object'],
    ['application/json; charset=utf-8', 'object'],
    ['application/json ; charset="UTF-8"', 'object'],
    ['APPLICATION/JSON', 'object'],
    ['application/json; charset=latin1', 'string'],
    ['application/json; charset=utf-8; x=1', 'string'],
    ['application/json-patch+json', 'string'],
    ['text/json', 'string'],
    ['', 'string'],
  ])('readJsonBody() with the type %j gives an %s', async (type, kind) => {
    const result = await read('{}', { 'Content-Type': type });
    expect(typeof result).toBe(kind);
    if (kind === 'string') expect(result).toBe('unsupported_media_type');
  });

  test('readJsonBody() reads nothing that is compressed', async () => {
    expect(await read('{}', { 'Content-Encoding': 'br' })).toBe('unsupported_encoding');
    expect(await read('{}', { 'Content-Encoding': 'identity' })).toEqual({});
  });

  test('readJsonBody() has nothing to read without a body', async () => {
    expect(await read(null)).toBe('malformed_json');
  });
});
