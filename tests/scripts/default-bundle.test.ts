import { appendFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BundleError, ensureBundle } from '../../scripts/default-bundle.ts';
import { writeTinyCheckpoint } from '../helpers/tiny-checkpoint.ts';

let folder: string;
let checkpoint: string;
let bundles: string;
let conversions: number;
const onConvert = () => {
  conversions += 1;
};

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'pixart-edge-bundle-'));
  checkpoint = writeTinyCheckpoint(path.join(folder, 'tiny'));
  bundles = path.join(folder, 'bundles');
  conversions = 0;
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('ensureBundle()', () => {
  it('converts once, and again only when the checkpoint has changed', {
    timeout: 180_000,
  }, async () => {
    const first = await ensureBundle({ checkpoint, bundles, onConvert });
    expect(existsSync(path.join(first, 'manifest.json'))).toBe(true);
    expect(await ensureBundle({ checkpoint, bundles, onConvert })).toBe(first);
    expect(conversions).toBe(1);

    appendFileSync(path.join(checkpoint, 'README.md'), 'another model card');
    const second = await ensureBundle({ checkpoint, bundles, onConvert });
    expect(second).not.toBe(first);
    expect(conversions).toBe(2);
    expect(readdirSync(bundles)).toEqual([path.basename(second)]);
  });

  it('refuses a folder that holds no model, naming it', async () => {
    const missing = path.join(folder, 'nothing');
    await expect(ensureBundle({ checkpoint: missing, bundles })).rejects.toThrow(
      new BundleError(`${missing} is not a model: it has no model_index.json.`),
    );
  });

  it('says what the converter said when it refuses, and leaves no bundle', async () => {
    rmSync(path.join(checkpoint, 'vae/config.json'));
    const conversion = ensureBundle({ checkpoint, bundles });
    await expect(conversion).rejects.toThrow(BundleError);
    await expect(conversion).rejects.toThrow(/vae/);
    expect(
      readdirSync(bundles).filter((name) => existsSync(path.join(bundles, name, 'manifest.json'))),
    ).toEqual([]);
  });
});
