/** The whole Worker over HTTP in real workerd: targets, credentials, origins, and refusing to serve without protection. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createApiKey } from '#shared/api-key.ts';
import { openAiErrorBody, problem } from '#shared/schemas/problem.ts';
import { type RunningEdge, rawRequest, readJson, startEdge } from '../helpers/edge.ts';
import { MODEL } from '../helpers/model.ts';

let edge: RunningEdge;

beforeAll(async () => {
  edge = await startEdge({
    bindings: { CORS_ORIGINS: 'https://ok.example, http://localhost:3000' },
  });
});
afterAll(() => edge[Symbol.asyncDispose]());

const auth = () => ({ Authorization: `Bearer ${edge.key}` });
const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(edge.url + path, { headers: { ...auth(), ...headers } });

/** Status and `code` of a request whose first line is sent as it is. */
async function raw(line: string, headers: string[] = []): Promise<{ head: string; body: string }> {
  const request = rawRequest(
    edge.url,
    [line, 'Host: edge.test', 'Connection: close', ...headers, '', ''].join('\r\n'),
  );
  const [head = '', body = ''] = (await request.closed()).split('\r\n\r\n', 2);
  return { head, body };
}

describe('the Worker, targets', () => {
  test.each([
    ['PUT', '/v1/images/generations', 'POST, OPTIONS'],
    ['GET', '/v1/images/generations', 'POST, OPTIONS'],
    ['DELETE', '/v1/models', 'GET, HEAD, QUERY, OPTIONS'],
    ['POST', `/i/${'a'.repeat(64)}.png`, 'GET, HEAD, OPTIONS'],
    ['POST', '/healthz', 'GET, HEAD, OPTIONS'],
    ['POST', '/', 'GET, HEAD, OPTIONS'],
    ['PATCH', '/openapi.json', 'GET, HEAD, OPTIONS'],
    ['FOO', '/v1/models', 'GET, HEAD, OPTIONS'],
  ])('the Worker answers %s %s with 405 and Allow: %s', async (method, path, allow) => {
    const { head, body } = await raw(`${method} ${path} HTTP/1.1`, ['Content-Length: 0']);
    // A method that HTTP does not know is the runtime's to refuse.
    if (method === 'FOO') {
      expect(head).toMatch(/^HTTP\/1\.1 (405|501) /);
      return;
    }
    expect(head).toMatch(/^HTTP\/1\.1 405 /);
    expect(head).toContain(`Allow: ${allow}`);
    expect(JSON.parse(body).code).toBe('method_not_allowed');
  });

  test('the Worker echoes nothing to TRACE', async () => {
    const { head, body } = await raw('TRACE /v1/models HTTP/1.1', ['X-Secret: canary']);
    expect(head).toMatch(/^HTTP\/1\.1 (4|5)\d\d /);
    expect(head + body).not.toContain('canary');
  });

  test.each([
    '/v1/images/generations/',
    '/V1/images/generations',
    '/v1;x=1/images/generations',
    '/%76%31/images/generations',
    '/v1/images',
    '/v1',
    '/v1/models/owner/name/more',
    '/v1/jobs/x.css',
    '/i/',
    `/i/${'a'.repeat(64)}.png/extra`,
    `/i/${'A'.repeat(64)}.png`,
    `/i/${'a'.repeat(63)}.png`,
    `/i/${'a'.repeat(65)}.png`,
    `/i/${'g'.repeat(64)}.png`,
    `/i/${'a'.repeat(64)}.svg`,
    `/i/${'a'.repeat(64)}.html`,
    `/i/${'a'.repeat(64)}.gif`,
    `/i/${'a'.repeat(64)}`,
    '/nothing',
  ])('the Worker has nothing at %s', async (path) => {
    const { head, body } = await raw(`GET ${path} HTTP/1.1`, [`Authorization: Bearer ${edge.key}`]);
    expect(head).toMatch(/^HTTP\/1\.1 404 /);
    expect(JSON.parse(body).code).toBe('not_found');
    expect(head).toMatch(/Cache-Control: no-store/i);
  });

  test('the Worker lets a well-formed digest that it does not have be cached for a moment', async () => {
    const response = await fetch(`${edge.url}/i/${'a'.repeat(64)}.png`);
    expect(response.status).toBe(404);
    expect(response.headers.get('Cache-Control')).toBe('public, max-age=5');
    expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    expect(problem.parse(await response.json()).code).toBe('not_found');
  });

  test.each([
    '/v1//models',
    '//v1/models',
    '/i/a%5Cb',
    '/i/a\\b',
    '/i/a%00b',
    '/i/a%2Fb',
    '/v1%2Fmodels',
    '/v1/models/..%2Fx',
    '/i/%zz',
    '/i/%',
    '/i/\xff',
  ])('the Worker refuses the path %s', async (path) => {
    const { head, body } = await raw(`GET ${path} HTTP/1.1`, [`Authorization: Bearer ${edge.key}`]);
    expect(head).toMatch(/^HTTP\/1\.1 400 /);
    // A path that is no URL at all is refused by the runtime, in its own words.
    if (body.startsWith('{')) expect(JSON.parse(body).code).toBe('invalid_path');
  });

  test.each([
    '/i/../v1/models',
    '/i/%2e%2e/v1/models',
    '/i/.%2E/v1/models',
    '/healthz/../v1/models',
    '/./v1/models',
  ])('the Worker opens no way round the key with %s', async (path) => {
    // The runtime resolves dot segments before the Worker sees them: router and credentials then read the same path.
    const { head } = await raw(`GET ${path} HTTP/1.1`);
    expect(head).toMatch(/^HTTP\/1\.1 (400|401) /);
  });

  test('the Worker never takes another host’s request for its own open route', async () => {
    const { head } = await raw('GET http://evil.example/v1/models HTTP/1.1');
    expect(head).toMatch(/^HTTP\/1\.1 (400|401|404) /);
  });

  test('the Worker answers OPTIONS with what there is', async () => {
    for (const path of ['/v1/images/generations', '/healthz', '/', '/nothing']) {
      const response = await fetch(edge.url + path, { method: 'OPTIONS' });
      expect([path, response.status]).toEqual([path, 204]);
      expect(response.headers.get('Allow')).toContain('OPTIONS');
    }
  });

  test('the Worker takes 4,096 bytes of path and query, not one more', async () => {
    const path = '/healthz?';
    const fits = await fetch(edge.url + path + 'x'.repeat(4096 - path.length));
    const over = await fetch(edge.url + path + 'x'.repeat(4097 - path.length));
    expect([fits.status, over.status]).toEqual([200, 414]);
  });

  test('the Worker takes 64 headers of 8 KiB and 16 KiB in all, not more', async () => {
    const status = async (headers: string[]) =>
      Number((await raw('GET /healthz HTTP/1.1', headers)).head.slice(9, 12));
    const many = (count: number) => Array.from({ length: count }, (_, i) => `X-${i}: 1`);
    expect(await status(many(60))).toBe(200);
    expect(await status(many(70))).toBe(431);
    expect(await status([`X-A: ${'a'.repeat(8000)}`])).toBe(200);
    expect(await status([`X-A: ${'a'.repeat(8193)}`])).toBe(431);
    expect(await status(many(3).map((line) => line + 'a'.repeat(6000)))).toBe(431);
    expect(await status(['__proto__: 1', 'constructor: 1'])).toBe(200);
  });

  test('the Worker ignores a body that comes with GET', async () => {
    const { head } = await raw('GET /healthz HTTP/1.1', ['Content-Length: 0']);
    expect(head).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('the Worker, credentials', () => {
  test('the Worker asks for a key', async () => {
    const response = await fetch(`${edge.url}/v1/models`);
    const body = openAiErrorBody.parse(await response.json());
    expect([response.status, body.code, body.error.code]).toEqual([
      401,
      'missing_credentials',
      'invalid_api_key',
    ]);
    expect(response.headers.get('WWW-Authenticate')).toBe('Bearer');
  });

  test.each(['bearer', 'BEARER', 'Token', 'key'])(
    'the Worker takes the scheme %s',
    async (scheme) => {
      const response = await get('/v1/models', { Authorization: `${scheme} ${edge.key}` });
      expect(response.status).toBe(200);
    },
  );

  test('the Worker answers every wrong key with the same bytes', async () => {
    const other = await createApiKey();
    const wrongSecret = (await createApiKey()).key;
    const wrong = [
      other.key,
      wrongSecret,
      `${edge.key.slice(0, -1)}${edge.key.endsWith('0') ? '1' : '0'}`,
      edge.key.toUpperCase(),
      'sk-1234567890',
      'pxe_sk_',
      `pxe_sk_${'x'.repeat(5000)}`,
      edge.key.replace('_sk_', '_pk_'),
    ];
    const answers = [];
    for (const key of wrong) {
      const response = await get('/v1/models', {
        Authorization: `Bearer ${key}`,
        'X-Request-Id': 'same-for-all',
      });
      const headers = Object.fromEntries(response.headers);
      for (const name of ['server-timing', 'openai-processing-ms', 'date']) delete headers[name];
      answers.push(JSON.stringify([response.status, headers, await response.text()]));
    }
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toContain('invalid_credentials');
  });

  test.each([
    ['', 'missing_credentials'],
    ['Bearer', 'invalid_credentials'],
    ['Bearer ', 'invalid_credentials'],
    ['Bearer  KEY', 'invalid_credentials'],
    ['Bearer KEY extra', 'invalid_credentials'],
    ['Basic S0VZ', 'invalid_credentials'],
    ['KEY', 'invalid_credentials'],
    ['Bearer KEY, Bearer KEY', 'invalid_credentials'],
  ])('the Worker refuses Authorization: %j', async (value, code) => {
    const { head, body } = await raw('GET /v1/models HTTP/1.1', [
      `Authorization: ${value.replaceAll('KEY', edge.key)}`,
    ]);
    expect(head).toMatch(/^HTTP\/1\.1 401 /);
    expect(JSON.parse(body).code).toBe(code);
  });

  test('the Worker takes no key from the query or a cookie, and logs neither', async () => {
    const response = await fetch(`${edge.url}/v1/models?api_key=${edge.key}`, {
      headers: { Cookie: `key=${edge.key}` },
    });
    expect(response.status).toBe(401);
    expect(response.headers.get('Set-Cookie')).toBeNull();
    expect(JSON.stringify(edge.log)).not.toContain(edge.key);
  });

  test('the Worker asks for no key where pictures, health and the description are', async () => {
    for (const path of ['/healthz', '/readyz', '/openapi.json']) {
      expect([path, (await fetch(edge.url + path)).status]).toEqual([path, 200]);
    }
  });
});

describe('the Worker, origins', () => {
  const preflight = (origin: string) =>
    fetch(`${edge.url}/v1/images/generations`, {
      method: 'OPTIONS',
      headers: {
        Origin: origin,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'authorization,content-type,x-stainless-os,bad name',
      },
    });

  test('the Worker lets pages of listed origins call, and its own', async () => {
    for (const origin of ['https://ok.example', 'http://localhost:3000', edge.url]) {
      const before = await preflight(origin);
      expect([before.status, before.headers.get('Access-Control-Allow-Origin')]).toEqual([
        204,
        origin,
      ]);
      expect(before.headers.get('Access-Control-Allow-Headers')).toBe(
        'authorization, content-type, x-stainless-os',
      );
      expect(before.headers.get('Access-Control-Max-Age')).toBe('7200');
      const response = await edge.generate(
        { prompt: 'an origin' },
        { headers: { Origin: origin } },
      );
      expect(response.status).toBe(200);
      expect(response.headers.get('Access-Control-Allow-Origin')).toBe(origin);
      expect(response.headers.get('Access-Control-Allow-Credentials')).toBeNull();
      expect(response.headers.get('Access-Control-Expose-Headers')).toContain('cache-status');
      expect(response.headers.get('Vary')).toContain('Origin');
    }
  });

  test.each([
    'https://evil.example',
    'null',
    'https://ok.example.evil',
    'https://okXexample',
    'http://ok.example',
    'https://ok.example:8443',
    'https://ok.example.',
    'https://OK.example',
  ])('the Worker turns pages of %s away', async (origin) => {
    expect((await preflight(origin)).headers.get('Access-Control-Allow-Origin')).toBeNull();
    const response = await edge.generate({ prompt: 'an origin' }, { headers: { Origin: origin } });
    expect([response.status, (await readJson(response)).code]).toEqual([403, 'origin_not_allowed']);
    expect(response.headers.get('Access-Control-Allow-Origin')).toBeNull();
  });

  test('the Worker lets a page ask for what is not there, so that it can read the error', async () => {
    const headers = { Origin: 'https://ok.example', 'Access-Control-Request-Method': 'PATCH' };
    for (const path of ['/v1/nothing', '/v1/models', '/v1//models']) {
      const response = await fetch(edge.url + path, { method: 'OPTIONS', headers });
      expect([path, response.status]).toEqual([path, 204]);
      expect(response.headers.get('Access-Control-Allow-Origin')).toBe('https://ok.example');
    }
  });

  test('the Worker sends its CORS headers with errors, too', async () => {
    const headers = { Origin: 'https://ok.example' };
    const response = await edge.generate({}, { headers });
    expect(response.status).toBe(400);
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('https://ok.example');
  });

  test('the Worker lets every page show a picture', async () => {
    const { data } = await readJson(await edge.generate({ prompt: 'a picture for all' }));
    const headers = { Origin: 'https://evil.example' };
    const response = await fetch(`${edge.url}/i/${data[0].id}.png`, { headers });
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('*');
  });
});

describe('the Worker, without protection or sense', { timeout: 180_000 }, () => {
  const start = (bindings: Record<string, string>) => startEdge({ bindings });

  test('the Worker serves nobody when no keys are configured, and says that it is not ready', async () => {
    await using bare = await start({ API_KEYS_BOOTSTRAP: '[]' });
    const response = await bare.generate({ prompt: 'a' });
    expect([response.status, (await readJson(response)).code]).toEqual([503, 'auth_unavailable']);
    expect((await fetch(`${bare.url}/readyz`)).status).toBe(503);
    expect((await fetch(`${bare.url}/healthz`)).status).toBe(200);
    expect(bare.upstream.received).toEqual([]);
  });

  test('the Worker serves everyone only when told to, within the budget of strangers', async () => {
    await using open = await start({
      API_KEYS_BOOTSTRAP: '[]',
      AUTH_MODE: 'none',
      GENERATIONS_PER_MINUTE: '1',
      GENERATIONS_BURST: '2',
    });
    const statuses = [];
    for (const prompt of ['a', 'b', 'c']) {
      const headers = { Authorization: '' };
      statuses.push((await open.generate({ prompt }, { headers })).status);
    }
    expect(statuses).toEqual([200, 200, 429]);
  });

  test('the Worker refuses to work with settings that make no sense, and does not show them', async () => {
    await using bad = await start({ MODELS: '[]', GPU_SIGNING_KEY: 'short', CORS_ORIGINS: 'x' });
    const response = await fetch(`${bad.url}/healthz`);
    expect(response.status).toBe(503);
    expect(await response.text()).not.toContain('short');
    const [line] = bad.log.filter(({ event }) => event === 'config.refused');
    expect(line?.error).toMatch(/GPU_SIGNING_KEY.*MODELS.*CORS_ORIGINS/);
  });

  test('the Worker is ready when the function is', async () => {
    const ready = async () => (await fetch(`${edge.url}/readyz`)).status;
    await expect.poll(ready, { timeout: 5000 }).toBe(200);
    edge.upstream.status = 'STARTING';
    // An answer is shared for a second.
    await expect.poll(ready, { timeout: 5000 }).toBe(503);
    const response = await fetch(`${edge.url}/readyz`);
    expect((await readJson(response)).code).toBe('model_unavailable');
    expect(response.headers.get('Retry-After')).toBe('2');
    edge.upstream.status = 'READY';
  });
});

test('the Worker describes itself by the schemas that it checks with', async () => {
  const document = await readJson(await fetch(`${edge.url}/openapi.json`));
  expect(document.openapi).toBe('3.1.0');
  expect(document.servers).toEqual([{ url: edge.url }]);
  const { properties, required } = document.components.schemas.GenerateRequest;
  expect(required).toEqual(['prompt']);
  expect(properties.prompt).toMatchObject({ type: 'string', maxLength: 2000 });
  expect(Object.keys(document.paths)).toContain('/v1/images/generations');
});

test('the Worker lists models for both kinds of clients', async () => {
  const list = await readJson(await get('/v1/models'));
  expect(list).toMatchObject({ object: 'list', next: null, previous: null });
  expect(list.results[0]).toMatchObject({ owner: 'pixart-edge', name: 'stickers-nano' });
  expect(list.data[0]).toMatchObject({ object: 'model', owned_by: 'pixart-edge', ...MODEL });
  const one = await get(`/v1/models/${encodeURIComponent(MODEL.id)}`);
  expect((await readJson(one)).id).toBe(MODEL.id);
  const none = await get('/v1/models/nobody%2Fnothing');
  expect([none.status, (await readJson(none)).code]).toEqual([404, 'model_not_found']);
});
