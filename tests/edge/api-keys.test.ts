import { describe, expect, test } from 'vitest';
import { createApiKey } from '#shared/api-key.ts';
import type { ServiceError } from '#shared/errors.ts';
import type { KeyRecord } from '#shared/schemas/api-key.ts';
import { ApiKeys } from '../../edge/api-keys.ts';

async function setUp() {
  const { key, id, sha256 } = await createApiKey();
  const record: KeyRecord = { id, sha256, scopes: ['read'], rate: 60, burst: 10, account: 'acme' };
  const state = { nowMs: 0, lookUps: 0, record: record as KeyRecord | null, isDown: false };
  const keys = new ApiKeys({
    lookUp: async () => {
      state.lookUps += 1;
      if (state.isDown) throw new Error('the object is gone');
      return state.record;
    },
    now: () => state.nowMs,
  });
  const waiting: Promise<unknown>[] = [];
  const ask = async (authorization: string | undefined = `Bearer ${key}`) =>
    keys.authenticate(authorization, { waitUntil: (work) => void waiting.push(work) }).then(
      ({ keyId }) => keyId,
      (error: ServiceError) => error.code,
    );
  return { key, id, record, state, ask, settle: () => Promise.all(waiting.splice(0)) };
}

describe('ApiKeys', () => {
  test('ApiKeys.authenticate() hands over who it is and what they may', async () => {
    const { key, id, record } = await setUp();
    const keys = new ApiKeys({ lookUp: async () => record, now: () => 0 });
    expect(await keys.authenticate(`Bearer ${key}`, { waitUntil: () => undefined })).toEqual({
      kind: 'secret',
      keyId: id,
      account: 'acme',
      scopes: ['read'],
      limits: { rate: 60, burst: 10 },
      streams: 8,
    });
  });

  test('ApiKeys.authenticate() looks nothing up for what can be no key', async () => {
    const { ask, state, key } = await setUp();
    const last = key.endsWith('0') ? '1' : '0';
    for (const token of ['x', `${key.slice(0, -1)}${last}`, `${key} `]) {
      expect(await ask(`Bearer ${token}`)).toBe('invalid_credentials');
    }
    expect(await ask('')).toBe('missing_credentials');
    expect(await ask('   ')).toBe('missing_credentials');
    expect(state.lookUps).toBe(0);
  });

  test('ApiKeys.authenticate() refuses another key’s secret under the same id, and an unknown id, alike', async () => {
    const { ask, state, key } = await setUp();
    state.record = { ...state.record!, sha256: '0'.repeat(64) };
    expect(await ask()).toBe('invalid_credentials');
    state.nowMs = 5000;
    state.record = null;
    expect(await ask(`Bearer ${key}`)).toBe('invalid_credentials');
  });

  test('ApiKeys keep a record for less than two seconds, and refresh it behind the request’s back', async () => {
    const { ask, state, id, settle } = await setUp();
    await ask();
    state.nowMs = 999;
    await ask();
    expect(state.lookUps).toBe(1);
    state.nowMs = 1000;
    expect(await Promise.all([ask(), ask()])).toEqual([id, id]);
    await settle();
    expect(state.lookUps).toBe(2);
    // The refresh counts as young from when it was asked for.
    state.nowMs = 1999;
    await ask();
    expect(state.lookUps).toBe(2);
  });

  test('ApiKeys let a revoked key in for less than two seconds', async () => {
    const { ask, state, id } = await setUp();
    await ask();
    state.record = null;
    state.nowMs = 999;
    expect(await ask()).toBe(id);
    state.nowMs = 2000;
    expect(await ask()).toBe('invalid_credentials');
  });

  test('ApiKeys ask again for a key that was unknown a quarter of a second ago', async () => {
    const { ask, state, record, id } = await setUp();
    state.record = null;
    expect(await ask()).toBe('invalid_credentials');
    state.record = record;
    state.nowMs = 249;
    expect(await ask()).toBe('invalid_credentials');
    expect(state.lookUps).toBe(1);
    state.nowMs = 250;
    expect(await ask()).toBe(id);
  });

  test('ApiKeys say that they cannot tell, not that the key is wrong, when its owner does not answer', async () => {
    const { ask, state, id, settle } = await setUp();
    state.isDown = true;
    expect(await ask()).toBe('auth_unavailable');
    state.isDown = false;
    expect(await ask()).toBe(id);
    state.isDown = true;
    state.nowMs = 1500;
    expect(await ask()).toBe(id);
    await settle();
    state.nowMs = 2000;
    expect(await ask()).toBe('auth_unavailable');
  });
});
