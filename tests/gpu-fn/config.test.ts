import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  ConfigError,
  describeSettings,
  loadConfig,
  SETTINGS,
  settingsTable,
} from '../../gpu-fn/config.ts';

const KEY = 'edge:a-secret-of-many-characters';

describe('loadConfig()', () => {
  it('fills in the defaults', () => {
    expect(loadConfig({ BUNDLE: '/srv/bundle' })).toEqual({
      port: 5000,
      host: '127.0.0.1',
      bundle: '/srv/bundle',
      threads: 1,
      workers: 1,
      queueDepthMax: 8,
      variantsAtOnce: 2,
      variantQueueDepthMax: 32,
      variantDeadlineMs: 5000,
      jobDeadlineMs: 60_000,
      cancelGraceMs: 5000,
      setupTimeoutMs: 300_000,
      drainDeadlineMs: 25_000,
      signingKey: undefined,
      bodyBytesMax: 12_582_912,
      bodyDeadlineMs: 10_000,
      writeStallMs: 15_000,
      heartbeatMs: 1000,
      streamHistoryMax: 1024,
      streamSubscribersMax: 16,
      connectionsMax: 1024,
      webhookThrottleMs: 500,
      webhookAuthToken: undefined,
      uploadUrl: undefined,
      awaitExplicitShutdown: false,
      logLevel: 'info',
      readyFile: undefined,
    });
  });

  it('is frozen', () => {
    expect(Object.isFrozen(loadConfig({ BUNDLE: 'b' }))).toBe(true);
  });

  it('lists all problems at once', () => {
    const load = () => loadConfig({ PORT: '70000', WORKERS: '0', LOG_LEVEL: 'loud' });
    expect(load).toThrow(ConfigError);
    expect(load).toThrow(/PORT must be from 0 to 65535, not "70000"/);
    expect(load).toThrow(/WORKERS must be from 1 to 16, not "0"/);
    expect(load).toThrow(/LOG_LEVEL .*not "loud"/);
    expect(load).toThrow(/BUNDLE must name the folder/);
  });

  it.each(['5.5', '-1', ' 5000', '0x10', '99999999999'])('refuses PORT=%j', (PORT) => {
    expect(() => loadConfig({ BUNDLE: 'b', PORT })).toThrow(ConfigError);
  });

  it.each(['127.0.0.1', '127.9.9.9', '::1', 'localhost'])('listens on %s unsigned', (HOST) => {
    expect(loadConfig({ BUNDLE: 'b', HOST }).host).toBe(HOST);
  });

  it.each(['0.0.0.0', '::', '192.168.1.2', 'example.org', '127.0.0.1.nip.example'])(
    'refuses to listen on %s without a key',
    (HOST) => {
      expect(() => loadConfig({ BUNDLE: 'b', HOST })).toThrow(/set GPU_SIGNING_KEY .* UNSIGNED=1/);
    },
  );

  it('listens everywhere with a key, or when told to accept everybody', () => {
    expect(loadConfig({ BUNDLE: 'b', GPU_SIGNING_KEY: KEY }).host).toBe('0.0.0.0');
    expect(loadConfig({ BUNDLE: 'b', UNSIGNED: '1' }).host).toBe('0.0.0.0');
    expect(loadConfig({ BUNDLE: 'b', UNSIGNED: '1', HOST: '::' }).host).toBe('::');
  });

  it('never shows a secret', () => {
    const load = () => loadConfig({ BUNDLE: 'b', GPU_SIGNING_KEY: 'edge:tooshort' });
    expect(load).toThrow(/GPU_SIGNING_KEY is refused .*at least 16 characters.*\[set\]/);
    expect(load).not.toThrow(/tooshort/);
  });

  it('marks readiness where Cog does under Kubernetes, or where it is told to', () => {
    const kubernetes = { BUNDLE: 'b', KUBERNETES_SERVICE_HOST: '10.0.0.1' };
    expect(loadConfig(kubernetes).readyFile).toBe('/var/run/cog/ready');
    expect(loadConfig({ ...kubernetes, READY_FILE: '/x' }).readyFile).toBe('/x');
  });

  it('takes an empty variable as not set', () => {
    expect(loadConfig({ BUNDLE: 'b', GPU_SIGNING_KEY: '', PORT: '' })).toMatchObject({
      signingKey: undefined,
      port: 5000,
    });
  });
});

describe('settings', () => {
  it('are all in --help', () => {
    for (const name of Object.keys(SETTINGS)) expect(describeSettings()).toContain(`  ${name} `);
  });

  it('stand in the README as the schema has them', () => {
    const readme = readFileSync(new URL('../../gpu-fn/README.md', import.meta.url), 'utf8');
    expect(readme).toContain(settingsTable());
  });
});
