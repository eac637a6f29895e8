import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CATALOGUE, type CatalogueEntry } from '../../../../gpu-fn/convert/zoo/catalogue.ts';
import { ModelFolder } from '../../../../gpu-fn/convert/zoo/model-folder.ts';
import { writeFixtureCheckpoint } from '../../../helpers/hash-checkpoint.ts';
import { type Hub, startHub } from '../../../helpers/hub.ts';
import { type TemporaryFolder, temporaryFolder } from '../../../helpers/temporary-folder.ts';

const ID = 'owner/tiny';
const ENTRY: CatalogueEntry = {
  ...CATALOGUE[0]!,
  id: ID,
  sources: [{ ...CATALOGUE[0]!.sources[0]!, repo: ID }],
};
const WEIGHTS = 'transformer/diffusion_pytorch_model.safetensors';

let folder: TemporaryFolder;
let hub: Hub;
let models: ModelFolder;
beforeEach(async () => {
  folder = temporaryFolder();
  const repository = writeFixtureCheckpoint(`${folder.path}/repository`);
  // What else repositories hold, and is not wanted.
  writeFileSync(`${repository}/README.md`, '# x');
  writeFileSync(`${repository}/transformer/diffusion_pytorch_model.fp16.safetensors`, 'x');
  writeFileSync(`${repository}/text_encoder/pytorch_model.bin`, 'x');
  hub = await startHub({ [ID]: repository });
  models = new ModelFolder(`${folder.path}/models`, [ENTRY]);
});
afterEach(async () => {
  await hub[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const pull = () => models.pull(ID, { hubUrl: hub.url });
const pulled = (path: string) => `${folder.path}/models/checkpoints/owner--tiny/${path}`;

describe('ModelFolder', () => {
  it('pulls what is wanted, converts, verifies, lists and removes it', async () => {
    await pull();
    expect(existsSync(pulled('README.md'))).toBe(false);
    expect(existsSync(pulled('text_encoder/pytorch_model.bin'))).toBe(false);
    expect(existsSync(pulled('transformer/diffusion_pytorch_model.fp16.safetensors'))).toBe(false);
    expect(await models.verify(ID)).toEqual([]);
    await models.convert(ID, { precision: 'fp32' });
    const [state] = await models.list();
    expect(state).toMatchObject({ id: ID, pulled: true });
    expect(state!.bundleBytes).toBeGreaterThan(1000);
    expect(await models.verify(ID)).toEqual([]);
    expect(await models.remove(ID)).toBe(true);
    expect(await models.remove(ID)).toBe(false);
    await expect(models.verify(ID)).rejects.toThrow('is not here');
  });

  it('goes on where a download was cut off', async () => {
    hub.cutAfter = 5000;
    await expect(pull()).rejects.toThrow();
    const part = hub.downloads.at(-1)!.split(' ')[0]!;
    const held = statSync(`${pulled(part)}.part`).size;
    expect(held).toBeGreaterThan(0);
    await pull();
    const size = statSync(pulled(part)).size;
    expect(hub.downloads).toContain(`${part} bytes=${held}-${size - 1}`);
    expect(readFileSync(pulled(part))).toEqual(readFileSync(`${folder.path}/repository/${part}`));
  });

  it('downloads nothing again that is whole, and again what was changed', async () => {
    await pull();
    const before = hub.downloads.length;
    await pull();
    expect(hub.downloads).toHaveLength(before);
    const bytes = readFileSync(pulled(WEIGHTS));
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(pulled(WEIGHTS), bytes);
    expect(await models.verify(ID)).toEqual([`${WEIGHTS} differs`]);
    await pull();
    expect(await models.verify(ID)).toEqual([]);
    expect(hub.downloads).toHaveLength(before + 1);
  });

  it('keeps nothing whose digest is another', async () => {
    hub.corrupt = true;
    await expect(pull()).rejects.toThrow('the hub lists');
    await expect(models.convert(ID, {})).rejects.toThrow('pull it first');
    hub.corrupt = false;
    await pull();
    expect(await models.verify(ID)).toEqual([]);
  });

  it.each(['../x', 'a/../../etc', 'transformer/../../x.json', '/etc/x.json'])(
    'writes nothing outside of its folder: %s',
    async (path) => {
      const safe = path.startsWith('transformer') ? path : `transformer/${path}`;
      hub.listing = [{ type: 'file', path: safe, size: 1, oid: 'x' }];
      await expect(pull()).rejects.toThrow();
      expect(existsSync(`${folder.path}/models/checkpoints/x.json`)).toBe(false);
    },
  );

  it('says what it does not know', async () => {
    await expect(models.pull('owner/other', { hubUrl: hub.url })).rejects.toThrow('not published');
    await expect(models.remove('../../x')).rejects.toThrow('no name of a model');
    await expect(models.remove('..')).rejects.toThrow('no name of a model');
    rmSync(`${folder.path}/repository/vae`, { recursive: true });
    await expect(pull()).rejects.toThrow('owner/tiny has no vae/');
  });
});

describe('CATALOGUE', () => {
  it('names every model once, with a complete set of components', () => {
    expect(new Set(CATALOGUE.map(({ id }) => id)).size).toBe(CATALOGUE.length);
    for (const { kind, sources } of CATALOGUE) {
      if (kind === 'adapter') continue;
      const paths = sources.flatMap((source) => source.paths);
      for (const path of [
        'model_index.json',
        'vae/',
        'text_encoder/',
        'tokenizer/',
        'scheduler/',
      ]) {
        expect(paths).toContain(path);
      }
    }
  });
});
