import { describe, expect, test } from 'vitest';
import { ConfigError, loadConfig, parseConfig } from '../../edge/config.ts';
import type { Env } from '../../edge/env.ts';
import { MODEL } from '../helpers/model.ts';

const env = { GPU_URL: 'http://127.0.0.1:5000/', MODELS: JSON.stringify([MODEL]) };
const message = (more: Record<string, string>) => {
  try {
    parseConfig({ ...env, ...more });
    return 'accepted';
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
};

describe('parseConfig()', () => {
  test('parseConfig() has a default for everything but the function and its models', () => {
    expect(parseConfig(env)).toMatchObject({
      gpuUrl: 'http://127.0.0.1:5000',
      signingKey: undefined,
      authMode: 'keys',
      bootstrapKeys: [],
      readsPerMinute: 1200,
      anonymousLimits: { rate: 60, burst: 10 },
      corsOrigins: [],
      visibilityDefault: 'account',
      jobDeadlineMs: 60_000,
      upstreamIdleMs: 5000,
      cacheApi: true,
      modelAliases: true,
    });
    expect(parseConfig(env).defaultModel.id).toBe(MODEL.id);
    expect(Object.isFrozen(parseConfig(env))).toBe(true);
  });

  test('parseConfig() fills in the budget of a key', () => {
    const key = { id: 'abcdefghij01', sha256: 'a'.repeat(64) };
    const [record] = parseConfig({
      ...env,
      API_KEYS_BOOTSTRAP: JSON.stringify([key]),
    }).bootstrapKeys;
    expect(record).toEqual({
      ...key,
      scopes: ['generate', 'read'],
      rate: 60,
      burst: 10,
      account: 'default',
    });
  });

  test('parseConfig() reads origins, signing keys and numbers', () => {
    const config = parseConfig({
      ...env,
      CORS_ORIGINS: 'https://a.example, http://localhost:3000',
      GPU_SIGNING_KEY: 'k1:0123456789abcdef,k0:fedcba9876543210',
      JOB_DEADLINE_MS: '5000',
    });
    expect(config.corsOrigins).toEqual(['https://a.example', 'http://localhost:3000']);
    expect(config.signingKey).toEqual({ id: 'k1', secret: '0123456789abcdef' });
    expect(config.jobDeadlineMs).toBe(5000);
  });

  test.each([
    [{ GPU_URL: 'ftp://x' }, 'GPU_URL'],
    [{ MODELS: '{' }, 'MODELS: is not JSON'],
    [{ MODELS: '[]' }, 'MODELS'],
    [{ DEFAULT_MODEL: 'nobody' }, 'DEFAULT_MODEL: is not among MODELS'],
    [{ AUTH_MODE: 'off' }, 'AUTH_MODE'],
    [{ API_KEYS_BOOTSTRAP: '[{"id":"x"}]' }, 'API_KEYS_BOOTSTRAP.0.id'],
    [{ CORS_ORIGINS: '*.example' }, 'CORS_ORIGINS'],
    [{ CORS_ORIGINS: 'https://a.example/' }, 'CORS_ORIGINS'],
    [{ JOB_DEADLINE_MS: '4999' }, 'JOB_DEADLINE_MS'],
    [{ JOB_DEADLINE_MS: '300001' }, 'JOB_DEADLINE_MS'],
    [{ READS_PER_MINUTE: '0' }, 'READS_PER_MINUTE'],
    [{ PUBLIC_ORIGIN: 'images.example' }, 'PUBLIC_ORIGIN'],
    [{ GPU_SIGNING_KEY: 'short' }, 'GPU_SIGNING_KEY'],
  ] as [Record<string, string>, string][])('parseConfig() refuses %j', (more, expected) => {
    expect(message(more)).toContain(expected);
  });

  test('parseConfig() reports every problem at once and repeats no secret', () => {
    const text = message({ MODELS: '{', AUTH_MODE: 'x', GPU_SIGNING_KEY: 'canary' });
    expect(text).toMatch(/GPU_SIGNING_KEY.*MODELS.*AUTH_MODE/);
    expect(text).not.toContain('canary');
  });

  const hosted = { name: 'hosted', replicate: 'owner/name', priority: 2 };
  const own = { name: 'own', url: 'https://gpu.example/' };

  test('parseConfig() has one upstream for all models where none are listed', () => {
    expect(parseConfig(env).upstreams).toEqual([
      { name: 'function', priority: 0, url: 'http://127.0.0.1:5000' },
    ]);
  });

  test('parseConfig() puts upstreams into the order of their priority', () => {
    const { upstreams } = parseConfig({
      ...env,
      UPSTREAMS: JSON.stringify([hosted, own]),
      REPLICATE_API_TOKEN: 'r8_secret',
    });
    expect(upstreams).toEqual([
      { ...own, url: 'https://gpu.example', priority: 0 },
      { ...hosted, input: {} },
    ]);
  });

  test.each([
    ['a hosted one without a token', [hosted], 'hosted needs REPLICATE_API_TOKEN'],
    ['two of one name', [own, own], 'two have one name'],
    ['a model that is not there', [{ ...own, models: ['a/b'] }], 'a/b is not among MODELS'],
    ['a key that is not there', [{ ...own, signing_key: 'k9' }], 'GPU_SIGNING_KEY has no k9'],
    ['nothing', [], 'UPSTREAMS'],
    ['neither url nor replicate', [{ name: 'x' }], 'UPSTREAMS'],
    ['a secret among them', [{ ...own, token: 'r8_secret' }], 'UPSTREAMS'],
  ])('parseConfig() refuses upstreams with %s', (_, list, expected) => {
    const said = message({ UPSTREAMS: JSON.stringify(list) });
    expect(said).toContain(expected);
    expect(said).not.toContain('r8_secret');
  });

  test('parseConfig() refuses a model that nobody draws', () => {
    const other = { ...MODEL, id: 'c/d' };
    expect(
      message({
        MODELS: JSON.stringify([MODEL, other]),
        UPSTREAMS: JSON.stringify([{ ...own, models: [MODEL.id] }]),
      }),
    ).toContain('nobody draws c/d');
  });

  test('parseConfig() reads webhook secrets, and refuses what is none without repeating it', () => {
    const secret = `whsec_${btoa('x'.repeat(24))}`;
    const { replicate } = parseConfig({ ...env, REPLICATE_WEBHOOK_SECRET: secret });
    expect(replicate.webhookSecrets).toHaveLength(1);
    expect(message({ REPLICATE_WEBHOOK_SECRET: 'canary' })).not.toContain('canary');
  });
});

test('loadConfig() parses equal environments once and another one anew', () => {
  const first = loadConfig({ ...env } as unknown as Env);
  expect(loadConfig({ ...env } as unknown as Env)).toBe(first);
  expect(loadConfig({ ...env, LOG_LEVEL: 'error' } as unknown as Env).logLevel).toBe('error');
});
