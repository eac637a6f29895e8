/** Input that nobody honest sends, on raw sockets: every case has its answer, and the function lives on. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningFunction, startFunction } from '../helpers/gpu-function.ts';

let fn: RunningFunction;
beforeAll(async () => {
  fn = await startFunction({ env: { BODY_BYTES_MAX: '65536', BODY_DEADLINE_MS: '1500' } });
  fn.engine.automatic = true;
});
afterAll(async () => {
  await fn[Symbol.asyncDispose]();
});

interface RawAnswer {
  readonly status: number;
  readonly text: string;
}

/** Sends bytes as they are; reads until the connection closes or `until` is in what came. */
function raw(bytes: string | Uint8Array, { until = '' } = {}): Promise<RawAnswer> {
  const { promise, resolve } = Promise.withResolvers<RawAnswer>();
  const socket = connect(fn.port, '127.0.0.1');
  let text = '';
  const done = () => {
    resolve({ status: Number(text.slice(9, 12)), text });
    socket.destroy();
  };
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    if (until && text.includes(until)) done();
  });
  socket.on('close', done).on('error', done);
  socket.write(bytes);
  return promise;
}

const head = (line: string, ...headers: string[]) =>
  `${[line, 'Host: x', 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`;

function post(body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) {
  return fetch(`${fn.origin}/predictions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body,
  });
}

async function expectAlive(): Promise<void> {
  const before = fn.engine.startedCount;
  expect((await post(JSON.stringify({ input: { prompt: 'a cat' } }))).status).toBe(200);
  expect(fn.engine.startedCount).toBe(before + 1);
}

describe('methods and paths', () => {
  it.each([
    ['GET', '/predictions', 405, 'POST'],
    ['DELETE', '/predictions', 405, 'POST'],
    ['POST', '/health-check', 405, 'GET, HEAD'],
    ['GET', '/predictions/p1', 405, 'PUT'],
    ['POST', '/predictions/p1', 405, 'PUT'],
    ['GET', '/predictions/p1/cancel', 405, 'POST'],
    ['GET', '/shutdown', 405, 'POST'],
  ])('%s %s is answered with %i and Allow: %s', async (method, path, status, allow) => {
    const response = await fetch(`${fn.origin}${path}`, { method });
    expect(response.status).toBe(status);
    expect(response.headers.get('Allow')).toBe(allow);
    expect(response.headers.get('Cache-Control')).toBe('no-store');
    expect(await response.json()).toMatchObject({ status: 'failed', code: 'method_not_allowed' });
  });

  it.each([
    ['/nothing', 404],
    ['/predictions/', 404],
    ['/Predictions', 404],
    ['/predictions;x=1', 404],
    ['/health-check/extra', 404],
    ['/predictions/../shutdown', 400],
    ['/predictions/%2e%2e/shutdown', 400],
    ['/predictions/%2fshutdown', 400],
    ['/predictions//cancel', 400],
    ['/predictions/a%00b', 400],
    ['/predictions\\x', 400],
    ['/predictions%5Cx', 400],
    ['http://other.example/health-check', 400],
    [`/${'a'.repeat(4096)}`, 414],
  ])('POST %s is answered with %i', async (path, status) => {
    const answer = await raw(head(`POST ${path} HTTP/1.1`, 'Content-Length: 0'));
    expect(answer.status).toBe(status);
  });

  it.each([
    ['TRACE', 405],
    ['FOO', 400],
    ['get', 400],
  ])('the method %s is refused with %i and no echo', async (method, status) => {
    const answer = await raw(head(`${method} /predictions HTTP/1.1`, 'X-Secret: echo'));
    expect(answer.status).toBe(status);
    expect(answer.text).not.toContain('echo');
  });

  it('OPTIONS * is refused without harm', async () => {
    expect((await raw(head('OPTIONS * HTTP/1.1'))).status).toBe(400);
  });
});

describe('framing and headers', () => {
  it.each([
    ['Content-Length and Transfer-Encoding', ['Content-Length: 5', 'Transfer-Encoding: chunked']],
    ['two different Content-Length', ['Content-Length: 5', 'Content-Length: 6']],
    ['an unknown Transfer-Encoding', ['Transfer-Encoding: xchunked']],
    ['a space before the colon', ['Transfer-Encoding : chunked']],
    ['a line that is no header', ['no colon here']],
  ])('%s are refused, and no hidden request runs', async (_name, headers) => {
    const before = fn.engine.startedCount;
    const hidden = head('POST /shutdown HTTP/1.1', 'Content-Length: 0');
    const answer = await raw(head('POST /predictions HTTP/1.1', ...headers) + hidden);
    expect(answer.status).toBe(400);
    expect(answer.text.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(fn.engine.startedCount).toBe(before);
  });

  it('two Host headers are refused', async () => {
    expect((await raw(head('GET /health-check HTTP/1.1', 'Host: y'))).status).toBe(400);
  });

  it('no Host is refused', async () => {
    expect((await raw('GET /health-check HTTP/1.1\r\nConnection: close\r\n\r\n')).status).toBe(400);
  });

  it.each(['Pixart-Signature', 'X-Request-Id', 'Accept'])('%s twice is refused', async (name) => {
    const answer = await raw(head('GET /health-check HTTP/1.1', `${name}: a`, `${name}: b`));
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('"code":"invalid_header"');
    expect(answer.text).toMatch(/^X-Request-Id: [0-9a-f-]{36}\r$/m);
    expect(answer.text).toMatch(/^Cache-Control: no-store\r$/m);
  });

  it('64 header fields pass, 65 are refused with 431', async () => {
    const fields = (count: number) => Array.from({ length: count }, (_, i) => `X-${i}: 1`);
    const ok = await raw(head('GET /health-check HTTP/1.1', ...fields(62)));
    expect(ok.status).toBe(200);
    const refused = await raw(head('GET /health-check HTTP/1.1', ...fields(63)));
    expect(refused.status).toBe(431);
  });

  it('a head beyond 16 KiB is refused with 431', async () => {
    const fields = Array.from({ length: 5 }, (_, i) => `X-${i}: ${'a'.repeat(4000)}`);
    expect((await raw(head('GET /health-check HTTP/1.1', ...fields))).status).toBe(431);
  });

  it('header names of the prototype have no effect', async () => {
    const answer = await raw(head('GET /health-check HTTP/1.1', '__proto__: x', 'constructor: y'));
    expect(answer.status).toBe(200);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  it('an unknown expectation is refused with 417', async () => {
    const answer = await raw(
      head('POST /predictions HTTP/1.1', 'Expect: foo', 'Content-Length: 0'),
    );
    expect(answer.status).toBe(417);
  });

  it('an upgrade is not taken', async () => {
    const answer = await raw(head('GET /health-check HTTP/1.1', 'Upgrade: websocket'));
    expect([200, 400, 426]).toContain(answer.status);
  });

  it('what follows a valid request is answered with 400 and a close', async () => {
    const first = 'GET /health-check HTTP/1.1\r\nHost: x\r\n\r\n';
    const answer = await raw(`${first}garbage\r\n\r\n`);
    expect(answer.status).toBe(200);
    expect(answer.text).toContain('HTTP/1.1 400');
  });

  it('a compressed body is refused with 415', async () => {
    const response = await post('{}', { 'Content-Encoding': 'gzip' });
    expect(response.status).toBe(415);
    expect(await response.json()).toMatchObject({ code: 'unsupported_encoding' });
  });
});

describe('bodies', () => {
  it.each([
    ['nothing', ''],
    ['null', 'null'],
    ['an array', '[]'],
    ['a string', '"x"'],
    ['a number', '1'],
    ['half an object', '{bad'],
    ['a trailing comma', '{"input":{"prompt":"a"},}'],
    ['single quotes', "{'input':1}"],
    ['NaN', '{"input":{"prompt":"a","seed":NaN}}'],
    ['a byte-order mark', '\ufeff{"input":{"prompt":"a"}}'],
    ['a lone control character', '{"input":{"prompt":"\u0001"}}'],
    ['the same member twice', '{"input":{"prompt":"a"},"input":{"prompt":"b"}}'],
    ['depth 7', `{"input":${'['.repeat(6)}${']'.repeat(6)}}`],
    ['depth 10,000', `${'['.repeat(10_000)}`],
    ['65 members', `{"input":{${Array.from({ length: 65 }, (_, i) => `"k${i}":1`)}}}`],
  ])('%s is refused with 400', async (_name, body) => {
    const response = await post(body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: expect.any(String), status: 'failed' });
  });

  it('bytes that are not UTF-8 are refused with 400', async () => {
    const text = new TextEncoder().encode('{"input":{"prompt":"?"}}');
    text[text.indexOf('?'.charCodeAt(0))] = 0xff;
    const response = await post(text);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'invalid_utf8' });
  });

  it('half a surrogate pair in the prompt is refused with 422', async () => {
    const response = await post('{"input":{"prompt":"\\ud800"}}');
    expect(response.status).toBe(422);
  });

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json; charset=latin1',
    'application/jsonp',
    'application/problem+json',
    '',
  ])('Content-Type %j is refused with 415', async (type) => {
    const response = await post('{"input":{"prompt":"a"}}', { 'Content-Type': type });
    expect(response.status).toBe(415);
    expect(await response.json()).toMatchObject({ code: 'unsupported_media_type' });
  });

  it('Content-Type application/json;charset="UTF-8" is accepted', async () => {
    const type = { 'Content-Type': 'application/json;charset="UTF-8"' };
    expect((await post('{"input":{"prompt":"a"}}', type)).status).toBe(200);
  });

  it('a body at the limit passes, one byte more is refused with 413', async () => {
    const body = (bytes: number) => {
      const frame = '{"input":{"prompt":"a"},"x":""}';
      return frame.replace('""', `"${'y'.repeat(bytes - frame.length)}"`);
    };
    expect((await post(body(65_536))).status).toBe(200);
    const response = await post(body(65_537));
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ code: 'payload_too_large' });
  });

  it('a chunked body beyond the limit is refused with 413 while it arrives', async () => {
    const chunk = `4000\r\n${'z'.repeat(0x4000)}\r\n`;
    const start = 'POST /predictions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
    const answer = await raw(start + chunk.repeat(5), { until: '\r\n\r\n' });
    expect(answer.status).toBe(413);
  });

  it('a body that does not arrive is refused with 408', async () => {
    const answer = await raw(
      'POST /predictions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
        'Content-Length: 100\r\n\r\n{"input"',
      { until: 'request_timeout' },
    );
    expect(answer.status).toBe(408);
  });

  it.each([
    ['seed', 2 ** 32],
    ['seed', -1],
    ['seed', 1.5],
    ['seed', '7'],
    ['width', 1000],
    ['width', 48],
    ['width', 2064],
    ['height', '64'],
    ['guidance_scale', -0.01],
    ['guidance_scale', 7.005],
    ['num_outputs', 0],
    ['num_outputs', 11],
    ['output_quality', 0],
    ['output_quality', 101],
    ['output_format', 'PNG'],
    ['scheduler', '../../etc'],
    ['scheduler', '__proto__'],
    ['scheduler', 'constructor'],
    ['size_policy', 'any'],
    ['background', null],
    ['prompt', ''],
    ['prompt', '   '],
    ['prompt', 'x'.repeat(2001)],
    ['prompt', { a: 1 }],
  ])('%s = %j is refused with 422 that names it', async (field, value) => {
    const response = await post(JSON.stringify({ input: { prompt: 'a cat', [field]: value } }));
    expect(response.status).toBe(422);
    const { detail } = (await response.json()) as { detail: { loc: string[] }[] };
    expect(detail[0]?.loc.slice(0, 3)).toEqual(['body', 'input', field]);
  });

  it('unknown members are stripped, those of the prototype too', async () => {
    const body =
      '{"input":{"prompt":"a cat","__proto__":{"x":1},"model_path":"/etc"},"priority":9}';
    expect((await post(body)).status).toBe(200);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  it('leaves the function alive and no 5xx behind', async () => {
    await expectAlive();
    const text = await (await fetch(`${fn.origin}/metrics`)).text();
    expect(text).not.toMatch(/http_request_duration_seconds_count\{.*status="5/);
  });
});
