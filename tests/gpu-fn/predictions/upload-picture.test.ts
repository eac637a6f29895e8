import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createUploader } from '../../../gpu-fn/predictions/upload-picture.ts';
import { PICTURE_SHA256 } from '../../helpers/controlled-engine.ts';
import { startFunction } from '../../helpers/gpu-function.ts';

interface Put {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly type: string | undefined;
  readonly bytes: number[];
}

let puts: Put[];
let answer: { status: number; headers?: Record<string, string> };
let origin: string;
let close: () => void;
beforeEach(async () => {
  puts = [];
  answer = { status: 200 };
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { method, url, headers } = incoming;
    puts.push({ method, url, type: headers['content-type'], bytes: [...Buffer.concat(chunks)] });
    outgoing.writeHead(answer.status, answer.headers).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  close = () => server.close(() => undefined).closeAllConnections();
});
afterEach(() => {
  close();
});

const picture = {
  type: 'picture',
  pictureIndex: 0,
  mimeType: 'image/png',
  bytes: new Uint8Array([1, 2, 3]),
  sha256: PICTURE_SHA256,
  seed: 7,
  width: 64,
  height: 64,
} as const;
const signal = new AbortController().signal;
const NAME = `${PICTURE_SHA256.slice(0, 32)}.png`;

describe('createUploader()', () => {
  it('puts the bytes below the prefix and gives the URL', async () => {
    const store = createUploader({ uploadUrl: `${origin}/bucket` });
    expect(await store(picture, { signal })).toBe(`${origin}/bucket/${NAME}`);
    expect(puts).toEqual([
      { method: 'PUT', url: `/bucket/${NAME}`, type: 'image/png', bytes: [1, 2, 3] },
    ]);
  });

  it('takes the Location of the answer, without its query', async () => {
    answer = { status: 201, headers: { Location: 'https://cdn.example/x.png?signature=1' } };
    const store = createUploader({ uploadUrl: `${origin}/` });
    expect(await store(picture, { signal })).toBe('https://cdn.example/x.png');
  });

  it('fails with a text that names no host', async () => {
    answer = { status: 403 };
    const store = createUploader({ uploadUrl: origin });
    await expect(store(picture, { signal })).rejects.toMatchObject({
      code: 'internal_error',
      detail: 'The picture could not be uploaded.',
    });
  });
});

describe('UPLOAD_URL', () => {
  it('puts URLs into output', async () => {
    await using fn = await startFunction({ env: { UPLOAD_URL: `${origin}/b/` } });
    fn.engine.automatic = true;
    const body = await (await fn.predict({ input: { prompt: 'a cat' } })).json();
    expect(body).toMatchObject({ status: 'succeeded', output: [`${origin}/b/${NAME}`] });
  });

  it('fails the prediction whose picture cannot be stored', async () => {
    answer = { status: 500 };
    await using fn = await startFunction({ env: { UPLOAD_URL: `${origin}/b/` } });
    fn.engine.automatic = true;
    const body = await (await fn.predict({ input: { prompt: 'a cat' } })).json();
    expect(body).toMatchObject({ status: 'failed', error: 'The picture could not be uploaded.' });
  });
});
