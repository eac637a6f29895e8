import { describe, expect, it } from 'vitest';
import { readSettings, SettingsError } from '../../../scripts/start/settings.ts';

describe('readSettings()', () => {
  it('has a default for everything', () => {
    expect(readSettings({})).toMatchObject({
      port: 8787,
      host: '127.0.0.1',
      bundle: undefined,
      stateBytesMax: 2 * 1024 ** 3,
      edge: { LOG_LEVEL: 'error' },
      gpuFunction: { LOG_LEVEL: 'error' },
    });
  });

  it('takes an empty variable for one that is not set', () => {
    expect(readSettings({ PORT: '' }).port).toBe(8787);
  });

  it('reports all problems at once, each with its value and its limits', () => {
    const read = () => readSettings({ PORT: '65536', STATE_BYTES_MAX: 'lots', LOG_LEVEL: 'loud' });
    expect(read).toThrow(SettingsError);
    expect(read).toThrow(/PORT must be from 0 to 65535, not "65536"/);
    expect(read).toThrow(/STATE_BYTES_MAX must be an integer/);
    expect(read).toThrow(/LOG_LEVEL .*"loud"/);
  });

  it('hands settings on to whom they belong', () => {
    const { edge, gpuFunction } = readSettings({
      THREADS: '2',
      PUBLIC_ORIGIN: 'https://images.example',
      JOB_DEADLINE_MS: '30000',
      HOME: '/root',
    });
    expect(edge).toEqual({
      PUBLIC_ORIGIN: 'https://images.example',
      JOB_DEADLINE_MS: '30000',
      LOG_LEVEL: 'error',
    });
    expect(gpuFunction).toEqual({ THREADS: '2', JOB_DEADLINE_MS: '30000', LOG_LEVEL: 'error' });
  });

  it('keeps for itself what it decides: ports, keys, models', () => {
    const { edge, gpuFunction } = readSettings({
      PORT: '9000',
      GPU_URL: 'http://elsewhere',
      GPU_SIGNING_KEY: 'a-key-of-the-environment',
      MODELS: '[]',
      BUNDLE: 'dir',
    });
    expect(edge).toEqual({ LOG_LEVEL: 'error' });
    expect(gpuFunction).toEqual({ LOG_LEVEL: 'error' });
  });
});
