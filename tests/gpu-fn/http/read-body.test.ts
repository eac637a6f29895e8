import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readBody } from '../../../gpu-fn/http/read-body.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const LIMITS = { bytesMax: 8, deadlineMs: 1000 };

function incoming(headers: Record<string, string> = {}) {
  const stream = new PassThrough();
  return { stream, message: Object.assign(stream, { headers }) as unknown as IncomingMessage };
}

describe('readBody()', () => {
  it('joins what arrives in pieces, up to the bound', async () => {
    const { stream, message } = incoming();
    const body = readBody(message, LIMITS);
    stream.write('1234');
    stream.end('5678');
    expect(Buffer.from(await body).toString()).toBe('12345678');
  });

  it('refuses one byte more while it arrives', async () => {
    const { stream, message } = incoming();
    const body = readBody(message, LIMITS);
    stream.write('12345678');
    stream.write('9');
    await expect(body).rejects.toMatchObject({ code: 'payload_too_large' });
  });

  it('refuses a declared length beyond the bound before anything is read', async () => {
    const { message } = incoming({ 'content-length': '9' });
    await expect(readBody(message, LIMITS)).rejects.toMatchObject({ code: 'payload_too_large' });
  });

  it('gives up at the deadline', async () => {
    const { stream, message } = incoming();
    const body = readBody(message, LIMITS);
    stream.write('1');
    vi.advanceTimersByTime(1000);
    await expect(body).rejects.toMatchObject({ code: 'request_timeout' });
  });

  it('notices that the sender went away', async () => {
    const { stream, message } = incoming();
    const body = readBody(message, LIMITS);
    stream.destroy();
    await expect(body).rejects.toMatchObject({ code: 'malformed_json' });
  });
});
