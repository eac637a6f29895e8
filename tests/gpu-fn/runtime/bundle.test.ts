import { cp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../../gpu-fn/convert/convert.ts';
import { BundleError, loadBundle, looksLikeBundle } from '../../../gpu-fn/runtime/bundle.ts';
import { type Manifest, withRevision } from '../../../gpu-fn/runtime/manifest.ts';
import { type TemporaryFolder, temporaryFolder } from '../../helpers/temporary-folder.ts';
import { writeTinyCheckpoint } from '../../helpers/tiny-checkpoint.ts';

let base: TemporaryFolder;
let folder: string;
beforeAll(async () => {
  base = temporaryFolder();
  const checkpoint = writeTinyCheckpoint(`${base.path}/checkpoint`);
  await convertCheckpoint({ checkpoint, out: `${base.path}/pristine`, precision: 'fp32' });
});
afterAll(() => base[Symbol.asyncDispose]());
beforeEach(async () => {
  folder = `${base.path}/bundle`;
  await rm(folder, { recursive: true, force: true });
  await cp(`${base.path}/pristine`, folder, { recursive: true });
});

async function editManifest(edit: (manifest: Manifest) => Manifest): Promise<void> {
  const manifest = JSON.parse(await readFile(`${folder}/manifest.json`, 'utf8')) as Manifest;
  await writeFile(`${folder}/manifest.json`, JSON.stringify(edit(manifest)));
}

async function expectRefusal(reason: string): Promise<void> {
  const loading = loadBundle(folder);
  await expect(loading).rejects.toThrow(BundleError);
  await expect(loading).rejects.toThrow(reason);
}

describe('loadBundle()', () => {
  it('loads a bundle and names its graphs', async () => {
    const bundle = await loadBundle(folder);
    expect(bundle.graphPath('denoise')).toBe(`${folder}/denoise.onnx`);
    expect(bundle.hasGraph('vae_encoder')).toBe(true);
    expect(bundle.tokenizerPath).toBe(`${folder}/tokenizer.json`);
  });

  it('refuses one flipped bit in any file, naming it', async () => {
    for (const name of ['denoise.data', 'vae_decoder.onnx', 'tokenizer.json']) {
      const bytes = await readFile(`${folder}/${name}`);
      const at = Math.floor(bytes.length / 2);
      bytes[at] = bytes[at]! ^ 1;
      await writeFile(`${folder}/${name}`, bytes);
      await expectRefusal(`${folder}/${name}: SHA-256`);
      await expect(loadBundle(folder, { verify: false })).resolves.toBeDefined();
      bytes[at] = bytes[at]! ^ 1;
      await writeFile(`${folder}/${name}`, bytes);
    }
    await expect(loadBundle(folder)).resolves.toBeDefined();
  });

  it('refuses a file that is missing or has another size, digests or not', async () => {
    await truncate(`${folder}/denoise.data`, 10);
    await expectRefusal('denoise.data: 10 bytes, the manifest says');
    await expect(loadBundle(folder, { verify: false })).rejects.toThrow(BundleError);
    await rm(`${folder}/denoise.data`);
    await expectRefusal('denoise.data cannot be read');
  });

  it('refuses folders that hold no bundle', async () => {
    await writeFile(`${folder}/manifest.json`, '{');
    await expectRefusal('malformed JSON');
    await writeFile(`${folder}/manifest.json`, '{"format":2}');
    await expectRefusal('format');
    await rm(`${folder}/manifest.json`);
    await expectRefusal('is no bundle');
  });

  it('refuses a manifest whose settings were edited', async () => {
    await editManifest((manifest) => ({ ...manifest, license: 'CC0-1.0' }));
    await expectRefusal('the revision does not match');
    await editManifest((manifest) => ({
      ...manifest,
      license: 'Apache-2.0',
      info: { ...manifest.info, alpha: false },
    }));
    await expectRefusal('the revision does not match');
  });

  it('refuses a manifest that names files outside the folder or without digest', async () => {
    await editManifest((manifest) => withRevision({ ...manifest, tokenizer: '../tokenizer.json' }));
    await expectRefusal('tokenizer');
    await cp(`${base.path}/pristine/manifest.json`, `${folder}/manifest.json`);
    await editManifest((manifest) => withRevision({ ...manifest, tokenizer: 'other.json' }));
    await expectRefusal('other.json has no digest');
  });

  it('stops verifying when the signal is aborted', async () => {
    await expect(
      loadBundle(folder, { signal: AbortSignal.abort(new Error('stop')) }),
    ).rejects.toThrow('stop');
  });

  it('says which graph a bundle lacks', async () => {
    await editManifest(({ graphs: { vae_encoder: _, ...graphs }, ...manifest }) =>
      withRevision({ ...manifest, graphs }),
    );
    const bundle = await loadBundle(folder);
    expect(() => bundle.graphPath('vae_encoder')).toThrow(
      `${folder}: the bundle has no graph vae_encoder`,
    );
  });
});

describe('looksLikeBundle()', () => {
  it('tells folders with a manifest from others', async () => {
    expect(await looksLikeBundle(folder)).toBe(true);
    expect(await looksLikeBundle(base.path)).toBe(false);
    expect(await looksLikeBundle(`${base.path}/none`)).toBe(false);
  });
});
