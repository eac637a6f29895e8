import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../../../gpu-fn/convert/convert.ts';
import { convertPth } from '../../../../gpu-fn/convert/pth/convert-pth.ts';
import { openSafetensors } from '../../../../gpu-fn/safetensors/safetensors.ts';
import { writeFixtureCheckpoint } from '../../../helpers/hash-checkpoint.ts';
import { hashWeight } from '../../../helpers/hash-tensor.ts';
import { toFloat16Bits } from '../../../helpers/safetensors-file.ts';
import { temporaryFolder } from '../../../helpers/temporary-folder.ts';

const fixture = (name: string) =>
  new URL(`../../../fixtures/golden/pth/${name}.pth`, import.meta.url).pathname;
const WIDTH = 24;

async function tensor(path: string, name: string): Promise<Uint16Array> {
  await using store = await openSafetensors(path);
  const bytes = await store.read(name, 0, store.entries.get(name)!.byteLength);
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
}

/** Rows of an original tensor, as the halves that were saved. */
function original(name: string, [count, inputs]: [number, number], first: number, rows: number) {
  const values = hashWeight(name, [count, inputs]);
  return toFloat16Bits(values.slice(first * inputs, (first + rows) * inputs));
}

describe('convertPth()', () => {
  it('renames a transformer and takes fused layers apart', async () => {
    await using folder = temporaryFolder();
    const pth = fixture('pixart');
    expect(await convertPth({ pth, out: folder.path, heads: 3 })).toEqual(['transformer']);
    const path = `${folder.path}/transformer/diffusion_pytorch_model.safetensors`;
    const block = 'transformer_blocks.1';
    const qkv = 'blocks.1.attn.qkv.weight';
    expect(await tensor(path, `${block}.attn1.to_k.weight`)).toEqual(
      original(qkv, [3 * WIDTH, WIDTH], WIDTH, WIDTH),
    );
    const kv = 'blocks.1.cross_attn.kv_linear.weight';
    expect(await tensor(path, `${block}.attn2.to_v.weight`)).toEqual(
      original(kv, [2 * WIDTH, WIDTH], WIDTH, WIDTH),
    );
    const config = JSON.parse(readFileSync(`${folder.path}/transformer/config.json`, 'utf8'));
    expect(config).toMatchObject({
      num_layers: 3,
      num_attention_heads: 3,
      attention_head_dim: 8,
      caption_channels: 32,
      in_channels: 4,
      out_channels: 8,
      patch_size: 2,
      sample_size: 8,
      use_additional_conditions: true,
    });
  });

  it('makes a checkpoint of which every tensor is used, with control network', async () => {
    await using folder = temporaryFolder();
    const checkpoint = writeFixtureCheckpoint(`${folder.path}/checkpoint`);
    rmSync(`${checkpoint}/transformer`, { recursive: true });
    const pth = fixture('control');
    expect(await convertPth({ pth, out: checkpoint, heads: 3 })).toEqual([
      'transformer',
      'controlnet',
    ]);
    const manifest = await convertCheckpoint({ checkpoint, out: `${folder.path}/bundle` });
    expect(Object.keys(manifest.graphs)).toContain('denoise_control');
  });

  it('leaves a component that is there as it is', async () => {
    await using folder = temporaryFolder();
    await convertPth({ pth: fixture('pixart'), out: folder.path, heads: 3 });
    await expect(
      convertPth({ pth: fixture('pixart'), out: folder.path, heads: 3 }),
    ).rejects.toThrow('EEXIST');
  });

  it('asks for what no tensor tells', async () => {
    await using folder = temporaryFolder();
    await expect(convertPth({ pth: fixture('pixart'), out: folder.path })).rejects.toThrow(
      'say how many',
    );
  });

  it('refuses a damaged archive at any byte, without a crash', async () => {
    await using folder = temporaryFolder();
    const whole = readFileSync(fixture('pixart'));
    const path = `${folder.path}/x.pth`;
    const refuse = async (bytes: Uint8Array) => {
      writeFileSync(path, bytes);
      const out = `${folder.path}/out`;
      rmSync(out, { recursive: true, force: true });
      await convertPth({ pth: path, out, heads: 3 }).catch((error: unknown) => {
        expect(error).toBeInstanceOf(Error);
        expect((error as Error).name).toBe('CheckpointError');
      });
    };
    for (const length of [0, 1, 21, 1000, whole.length - 1])
      await refuse(whole.subarray(0, length));
    for (let i = 0; i < 60; i += 1) {
      const bytes = Buffer.from(whole);
      // The directory at the end and the pickle at the beginning.
      const at = i % 2 === 0 ? 64 + i * 37 : bytes.length - 22 - i * 53;
      bytes[at] = bytes[at]! ^ 0xff;
      await refuse(bytes);
    }
  });

  it('refuses other files by their first look', async () => {
    await using folder = temporaryFolder();
    const path = `${folder.path}/x.pth`;
    cpSync(new URL(import.meta.url).pathname, path);
    await expect(convertPth({ pth: path, out: `${folder.path}/o` })).rejects.toThrow(
      'no zip archive',
    );
  });
});
