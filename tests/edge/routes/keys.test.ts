/** Keys, browser tokens, usage and metrics of the real Worker, as operators and pages meet them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningEdge, readEvents, readJson, startEdge } from '../../helpers/edge.ts';

const PAGE = 'https://page.example';

let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge({
    scopes: ['generate', 'read', 'admin'],
    bindings: { CORS_ORIGINS: '*', UPSTREAM_IDLE_MS: '60000', PROMPT_BLOCKLIST: '["mean word"]' },
  });
});
afterAll(() => edge[Symbol.asyncDispose]());

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // Tests read single members of it.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly body: any;
}

async function call(
  method: string,
  path: string,
  {
    body,
    key = edge.key,
    origin,
  }: { readonly body?: unknown; readonly key?: string; readonly origin?: string } = {},
): Promise<Answer> {
  const response = await fetch(edge.url + path, {
    method,
    headers: {
      Authorization: `Bearer ${key}`,
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...(origin !== undefined && { Origin: origin }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('Content-Type')?.includes('json');
  return {
    status: response.status,
    headers: response.headers,
    body: isJson ? JSON.parse(text) : text,
  };
}

async function createKey(
  body: Record<string, unknown> = {},
  key = edge.key,
): Promise<Answer['body']> {
  const answer = await call('POST', '/v1/keys', { body, key });
  expect([answer.status, answer.body.code]).toEqual([201, undefined]);
  return answer.body;
}

const draw = (prompt: string, key: string, options: { origin?: string; stream?: boolean } = {}) =>
  call('POST', '/v1/images/generations', {
    key,
    body: { prompt, ...(options.stream && { stream: true }) },
    ...(options.origin !== undefined && { origin: options.origin }),
  });

describe('createKey()', { timeout: 180_000 }, () => {
  test('createKey() makes a key that works at once, shows it once, and lists it without', async () => {
    const made = await createKey({ name: 'of a test', rate: 30, burst: 3 });
    expect(made).toMatchObject({
      object: 'api_key',
      key: expect.stringMatching(/^pxe_sk_[a-z0-9]{12}_[0-9A-Za-z]{38}$/),
      name: 'of a test',
      type: 'secret',
      account: 'default',
      scopes: ['generate', 'read'],
      rate: 30,
      burst: 3,
      streams: 8,
      quota: null,
      revoked_at: null,
    });
    const drawn = await draw('a key', made.key);
    expect(drawn.status).toBe(200);
    expect(drawn.headers.get('RateLimit-Policy')).toContain('"generation";q=3;w=6');
    const listed = await call('GET', '/v1/keys');
    expect(listed.body.data.map(({ id }: { id: string }) => id)).toEqual([made.id, edge.keyId]);
    expect(JSON.stringify(listed.body)).not.toContain(made.key);
    expect(JSON.stringify(edge.log)).not.toContain(made.key);
  });

  test('createKey() gives nobody more than they have', async () => {
    const { key } = await createKey({
      scopes: ['generate', 'keys'],
      rate: 20,
      burst: 2,
      allowed_models: ['pixart-edge/none'],
    });
    const refused = async (body: unknown) => {
      const { status, body: problem } = await call('POST', '/v1/keys', { body, key });
      return [status, problem.code, problem.param];
    };
    const within = { scopes: ['generate'] };
    expect(await refused({})).toEqual([403, 'scope_denied', 'scopes']);
    expect(await refused({ scopes: ['admin'] })).toEqual([403, 'scope_denied', 'scopes']);
    expect(await refused({ ...within, rate: 21 })).toEqual([403, 'scope_denied', 'rate']);
    expect(await refused({ ...within, burst: 3 })).toEqual([403, 'scope_denied', 'burst']);
    expect(await refused({ ...within, account: 'other' })).toEqual([
      403,
      'scope_denied',
      'account',
    ]);
    expect(await refused({ ...within, allowed_models: ['a/b'] })).toEqual([
      403,
      'scope_denied',
      'allowed_models',
    ]);
    const child = await createKey(within, key);
    expect(child).toMatchObject({ rate: 20, burst: 2, allowed_models: ['pixart-edge/none'] });
    expect((await draw('a model', child.key)).body.code).toBe('scope_denied');
  });

  test.each([
    [{ nam: 'x' }, 'unknown_parameter', 'nam'],
    [{ tenant: 'x' }, 'unknown_parameter', 'tenant'],
    [{ scopes: [] }, 'invalid_parameter', 'scopes'],
    [{ scopes: ['all'] }, 'invalid_parameter', 'scopes[0]'],
    [{ rate: 0 }, 'invalid_parameter', 'rate'],
    [{ rate: 1_000_001 }, 'invalid_parameter', 'rate'],
    [{ name: 'x'.repeat(65) }, 'invalid_parameter', 'name'],
    [{ account: 'a b' }, 'invalid_parameter', 'account'],
    [{ quota: { generations: 1 } }, 'invalid_parameter', 'quota.period'],
    [{ quota: { generations: 1, period: 'day', x: 1 } }, 'invalid_parameter', 'quota'],
    [{ allowed_origins: ['https://a.example/'] }, 'invalid_parameter', 'allowed_origins[0]'],
    [{ expires_at: 1 }, 'invalid_parameter', 'expires_at'],
    [{ type: 'publishable' }, 'missing_parameter', 'allowed_origins'],
    [
      { type: 'publishable', allowed_origins: [PAGE], scopes: ['keys'] },
      'invalid_parameter',
      'scopes',
    ],
  ])('createKey() refuses %j', async (body, code, param) => {
    const { status, headers, body: problem } = await call('POST', '/v1/keys', { body });
    expect([status, problem.code, problem.param]).toEqual([422, code, param]);
    expect(headers.get('Content-Type')).toBe('application/problem+json');
  });

  test('createKey() holds a key to its quota, and says that waiting is of no use', async () => {
    const { key, id } = await createKey({ quota: { generations: 2, period: 'total' } });
    expect([(await draw('q 1', key)).status, (await draw('q 2', key)).status]).toEqual([200, 200]);
    const over = await draw('q 3', key);
    expect([over.status, over.body.code, over.body.error.code]).toEqual([
      429,
      'quota_exhausted',
      'insufficient_quota',
    ]);
    expect(over.headers.get('x-should-retry')).toBe('false');
    // What is there costs nothing.
    expect((await draw('q 1', key)).status).toBe(200);
    const usage = await call('GET', `/v1/usage?key_id=${id}`);
    expect(usage.body.data).toMatchObject([
      { key_id: id, quota: { generations: 2, period: 'total', used: 2 } },
    ]);
    expect(usage.body.data[0].days[0]).toMatchObject({ generations: 2, completed: 2, refused: 1 });
    expect((await call('GET', '/v1/usage', { key })).body.data).toHaveLength(1);
  });

  test('createKey() keeps accounts apart: nobody sees or touches a key of another', async () => {
    const scopes = ['generate', 'read', 'keys'];
    const a = await createKey({ account: 'a', scopes });
    const b = await createKey({ account: 'b', scopes });
    const ids = async (key: string) =>
      (await call('GET', '/v1/keys', { key })).body.data.map(({ id }: { id: string }) => id);
    expect([await ids(a.key), await ids(b.key)]).toEqual([[a.id], [b.id]]);
    for (const [method, path] of [
      ['GET', `/v1/keys/${b.id}`],
      ['DELETE', `/v1/keys/${b.id}`],
      ['POST', `/v1/keys/${b.id}/rotate`],
      ['GET', `/v1/usage?key_id=${b.id}`],
      ['GET', '/v1/keys/abcdefghijkl'],
      ['GET', '/v1/keys/..x'],
    ] as const) {
      const answer = await call(method, path, { key: a.key });
      expect([method, path, answer.status, answer.body.detail]).toEqual([
        method,
        path,
        404,
        'There is no such key.',
      ]);
    }
    expect((await call('GET', `/v1/keys/${b.id}`, { key: b.key })).status).toBe(200);
  });
});

describe('rotateKey()', { timeout: 180_000 }, () => {
  test('rotateKey() ends the old secret at once, or after its grace', async () => {
    const made = await createKey();
    const rotated = await call('POST', `/v1/keys/${made.id}/rotate`);
    expect(rotated.body).toMatchObject({ id: made.id, created_at: made.created_at });
    // Other isolates may know the old one for two seconds; the new one is good at once.
    expect((await call('GET', '/v1/models', { key: rotated.body.key })).status).toBe(200);
    await expect
      .poll(async () => (await call('GET', '/v1/models', { key: made.key })).status)
      .toBe(401);
    const again = await call('POST', `/v1/keys/${made.id}/rotate`, { body: { grace_seconds: 60 } });
    for (const key of [rotated.body.key, again.body.key]) {
      await expect.poll(async () => (await call('GET', '/v1/models', { key })).status).toBe(200);
    }
  });

  test('rotateKey() leaves keys of the configuration to the operator', async () => {
    const answer = await call('POST', `/v1/keys/${edge.keyId}/rotate`);
    expect([answer.status, answer.body.code]).toEqual([422, 'invalid_parameter']);
  });
});

describe('revokeKey()', { timeout: 180_000 }, () => {
  test('revokeKey() ends open streams with one typed error within two seconds', async () => {
    edge.upstream.behaviour = { during: () => new Promise(() => undefined) };
    const { id, key } = await createKey();
    const response = await fetch(`${edge.url}/v1/images/generations`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ prompt: 'a stream that is revoked', stream: true }),
    });
    expect(response.status).toBe(200);
    const events = readEvents(response);
    const revoked = await call('DELETE', `/v1/keys/${id}`);
    const startMs = performance.now();
    expect(revoked.body.revoked_at).toBeGreaterThan(1_700_000_000);
    expect(await events).toMatchObject([
      { event: 'error', data: { error: { reason: 'invalid_credentials', retryable: false } } },
    ]);
    expect(performance.now() - startMs).toBeLessThan(2600);
    await edge.upstream.when(() => edge.upstream.received.at(-1)!.outcome === 'canceled');
    edge.upstream.behaviour = {};
    await expect.poll(async () => (await call('GET', '/v1/models', { key })).status).toBe(401);
    expect((await call('GET', `/v1/keys/${id}`)).body.revoked_at).toBe(revoked.body.revoked_at);
    const rotate = await call('POST', `/v1/keys/${id}/rotate`);
    expect([rotate.status, rotate.body.code]).toEqual([422, 'invalid_parameter']);
  });
});

describe('the streams of a key', { timeout: 180_000 }, () => {
  test('the streams of a key are bounded, and a place is free when one ends', async () => {
    const gate = Promise.withResolvers<void>();
    edge.upstream.behaviour = { during: () => gate.promise };
    const { key } = await createKey({ streams: 2 });
    const open = (prompt: string) =>
      fetch(`${edge.url}/v1/images/generations`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
        body: JSON.stringify({ prompt, stream: true }),
      });
    const streams = [await open('s 1'), await open('s 2')];
    const third = await open('s 3');
    expect([third.status, (await readJson(third)).code]).toEqual([429, 'too_many_streams']);
    expect(third.headers.get('Retry-After')).toBe('1');
    gate.resolve();
    edge.upstream.behaviour = {};
    await Promise.all(streams.map((stream) => readEvents(stream)));
    await expect.poll(async () => (await draw('s 3', key, { stream: true })).status).toBe(200);
  });
});

describe('a publishable key', { timeout: 180_000 }, () => {
  test('a publishable key is good from its pages alone, and for drawing and reading alone', async () => {
    const { key } = await createKey({ type: 'publishable', allowed_origins: [PAGE] });
    expect(key).toMatch(/^pxe_pk_/);
    const drawn = await draw('a page', key, { origin: PAGE });
    expect(drawn.status).toBe(200);
    expect(drawn.headers.get('Access-Control-Allow-Origin')).toBe(PAGE);
    for (const origin of ['https://evil.example', 'null', `${PAGE}.evil`, undefined]) {
      const answer = await draw('a page', key, origin === undefined ? {} : { origin });
      expect([origin, answer.status, answer.body.code]).toEqual([
        origin,
        403,
        'origin_not_allowed',
      ]);
    }
    for (const path of ['/v1/keys', '/v1/usage', '/metrics']) {
      expect([path, (await call('GET', path, { key, origin: PAGE })).status]).toEqual([path, 403]);
    }
  });

  test('a secret key is not good from a page that the operator does not list', async () => {
    const answer = await draw('a leak', edge.key, { origin: 'https://evil.example' });
    expect([answer.status, answer.body.code]).toEqual([403, 'origin_not_allowed']);
  });
});

describe('createToken()', { timeout: 180_000 }, () => {
  const mint = (key: string, body: Record<string, unknown> = {}) =>
    call('POST', '/v1/tokens', { key, body: { origins: [PAGE], ...body } });

  test('createToken() makes a token for a page, within its origins, scopes and pictures', async () => {
    const { key } = await createKey();
    const { status, body } = await mint(key, { generations: 1, expires_in: 60 });
    expect(status).toBe(201);
    expect(body).toMatchObject({ object: 'browser_token', origins: [PAGE], generations: 1 });
    expect(body.expires_at - Date.now() / 1000).toBeLessThanOrEqual(60);
    const at = (origin: string | undefined, prompt = 't 1') =>
      draw(prompt, body.token, origin === undefined ? {} : { origin });
    expect((await at(PAGE)).status).toBe(200);
    expect((await at(undefined)).body.code).toBe('origin_not_allowed');
    expect((await at('https://evil.example')).body.code).toBe('origin_not_allowed');
    const over = await at(PAGE, 't 2');
    expect([over.status, over.body.code]).toEqual([429, 'quota_exhausted']);
    // The picture that is there costs nothing.
    expect((await at(PAGE)).status).toBe(200);
    for (const [method, path] of [
      ['GET', '/v1/keys'],
      ['GET', '/v1/usage'],
      ['GET', '/metrics'],
      ['POST', '/v1/tokens'],
    ] as const) {
      const answer = await call(method, path, {
        key: body.token,
        origin: PAGE,
        ...(method === 'POST' && { body: { origins: [PAGE] } }),
      });
      expect([path, answer.status]).toEqual([path, 403]);
    }
    expect(JSON.stringify(edge.log)).not.toContain(body.token);
  });

  test('createToken() lets two streams of a token be open', async () => {
    const gate = Promise.withResolvers<void>();
    edge.upstream.behaviour = { during: () => gate.promise };
    const { body } = await mint((await createKey()).key);
    const open = (prompt: string) =>
      fetch(`${edge.url}/v1/images/generations`, {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${body.token}`,
          'Content-Type': 'application/json',
          Origin: PAGE,
        },
        body: JSON.stringify({ prompt, stream: true }),
      });
    const streams = [await open('ts 1'), await open('ts 2')];
    const third = await open('ts 3');
    expect([third.status, (await readJson(third)).code]).toEqual([429, 'too_many_streams']);
    gate.resolve();
    edge.upstream.behaviour = {};
    await Promise.all(streams.map((stream) => readEvents(stream)));
  });

  test('createToken() makes tokens that end with their key, and with its secret', async () => {
    const { id, key } = await createKey();
    const { body } = await mint(key);
    const ask = async (token: string) =>
      (await call('GET', '/v1/models', { key: token, origin: PAGE })).status;
    expect(await ask(body.token)).toBe(200);
    const rotated = await call('POST', `/v1/keys/${id}/rotate`);
    await expect.poll(() => ask(body.token)).toBe(401);
    const second = await mint(rotated.body.key);
    expect(await ask(second.body.token)).toBe(200);
    await call('DELETE', `/v1/keys/${id}`);
    await expect.poll(() => ask(second.body.token)).toBe(401);
  });

  test.each([
    [{ origins: [] }, 422, 'origins'],
    [{ origins: ['*'] }, 422, 'origins[0]'],
    [{ expires_in: 301 }, 422, 'expires_in'],
    [{ expires_in: 0 }, 422, 'expires_in'],
    [{ generations: 101 }, 422, 'generations'],
    [{ scopes: ['admin'] }, 422, 'scopes[0]'],
    [{ sub: 'x' }, 422, 'sub'],
  ])('createToken() refuses %j', async (body, status, param) => {
    const answer = await mint(edge.key, body);
    expect([answer.status, answer.body.param]).toEqual([status, param]);
  });
});

describe('the policy', { timeout: 180_000 }, () => {
  test('the policy of the operator refuses a prompt, and the edge says that there is one', async () => {
    const answer = await draw('a MEAN word on a wall', edge.key);
    expect([answer.status, answer.body.code, answer.body.error]).toMatchObject([
      400,
      'moderation_blocked',
      { type: 'image_generation_user_error', code: 'moderation_blocked' },
    ]);
    expect((await call('GET', '/readyz')).body).toMatchObject({ prompt_policy: 'blocklist' });
  });
});

describe('metrics()', { timeout: 180_000 }, () => {
  test('metrics() counts what this edge has done, for whoever runs it', async () => {
    const { status, headers, body } = await call('GET', '/metrics');
    expect([status, headers.get('Content-Type')]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ]);
    expect(body).toMatch(
      /edge_requests_total\{route="\/v1\/images\/generations",method="POST",status="200"\} [1-9]/,
    );
    expect(body).toMatch(/edge_pictures_total\{outcome="miss"\} [1-9]/);
    expect(body).toMatch(/edge_errors_total\{code="quota_exhausted"\} [1-9]/);
    expect(body).toMatch(
      /edge_request_duration_seconds_bucket\{route="\/v1\/keys",le="\+Inf"\} [1-9]/,
    );
    const { key } = await createKey();
    expect((await call('GET', '/metrics', { key })).status).toBe(403);
    expect((await fetch(`${edge.url}/metrics`)).status).toBe(401);
  });
});
