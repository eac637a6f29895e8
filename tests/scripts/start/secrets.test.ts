import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureApiKey, ensureSigningKey } from '../../../scripts/start/secrets.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'pixart-edge-secrets-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const mode = (name: string) => statSync(path.join(folder, name)).mode & 0o777;

describe('ensureApiKey()', () => {
  it('makes a key that only its owner can read, and keeps it', async () => {
    const made = await ensureApiKey(folder);
    expect(made.key).toMatch(/^pxe_sk_[a-z0-9]{12}_[0-9A-Za-z]{38}$/);
    expect(mode('api-key')).toBe(0o600);
    expect(await ensureApiKey(folder)).toEqual(made);
  });

  it('closes a file that has been opened to others', async () => {
    await ensureApiKey(folder);
    chmodSync(path.join(folder, 'api-key'), 0o644);
    await ensureApiKey(folder);
    expect(mode('api-key')).toBe(0o600);
  });

  it('replaces what is no key', async () => {
    writeFileSync(path.join(folder, 'api-key'), 'pxe_sk_half');
    const { key } = await ensureApiKey(folder);
    expect(readFileSync(path.join(folder, 'api-key'), 'utf8')).toBe(`${key}\n`);
  });
});

describe('ensureSigningKey()', () => {
  it('makes 256 random bits that only their owner can read, and keeps them', async () => {
    const made = await ensureSigningKey(folder);
    expect(made).toMatch(/^local:[0-9a-f]{64}$/);
    expect(mode('signing-key')).toBe(0o600);
    expect(await ensureSigningKey(folder)).toBe(made);
    expect(await ensureSigningKey(folder, 'url-signing-key')).not.toBe(made);
  });
});
