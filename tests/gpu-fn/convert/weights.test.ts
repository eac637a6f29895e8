import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import {
  TEXT_ENCODER_NAMES,
  TRANSFORMER_NAMES,
  VAE_NAMES,
} from '../../../gpu-fn/convert/checkpoint.ts';
import { Weights, type WeightsOptions } from '../../../gpu-fn/convert/weights.ts';
import { CheckpointError } from '../../../gpu-fn/safetensors/errors.ts';
import { openSafetensors } from '../../../gpu-fn/safetensors/safetensors.ts';
import { encodeSafetensors, type TensorToWrite } from '../../helpers/safetensors-file.ts';
import { temporaryFolder } from '../../helpers/temporary-folder.ts';

const f32 = (shape: readonly number[], fill = 1): TensorToWrite => ({
  dtype: 'F32',
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(fill),
});
const i8 = (shape: readonly number[]): TensorToWrite => ({
  dtype: 'I8',
  shape,
  data: new Int8Array(shape.reduce((a, b) => a * b, 1)),
});

async function withWeights<T>(
  tensors: Record<string, TensorToWrite>,
  use: (weights: Weights, path: string) => Promise<T> | T,
  options?: WeightsOptions,
): Promise<T> {
  await using folder = temporaryFolder();
  const path = `${folder.path}/w.safetensors`;
  await writeFile(path, encodeSafetensors(tensors));
  await using store = await openSafetensors(path);
  return await use(new Weights(store, options), path);
}

describe('Weights.take()', () => {
  it('refuses a missing tensor, a wrong shape and a second use, naming file and tensor', async () => {
    await withWeights({ a: f32([2, 3]) }, (weights, path) => {
      expect(() => weights.take('b', [4])).toThrow(
        new CheckpointError(`${path}: tensor b is missing; it should be [4]`),
      );
      expect(() => weights.take('a', [3, 2])).toThrow(
        new CheckpointError(`${path}: tensor a is [2, 3], the configuration makes it [3, 2]`),
      );
      expect(weights.take('a', [2, 3]).shape).toEqual([2, 3]);
      expect(() => weights.take('a', [2, 3])).toThrow(`${path}: tensor a is used twice`);
    });
  });

  it('claims the row scales of an int8 tensor together with it', async () => {
    await withWeights({ a: i8([2, 3]), 'a.scale': f32([2]) }, async (weights) => {
      expect(weights.take('a', [2, 3]).isQuantized).toBe(true);
      await expect(weights.finish()).resolves.toBeUndefined();
    });
  });

  it.each<[string, Record<string, TensorToWrite>]>([
    ['int8 without scales', { a: i8([2, 3]) }],
    ['scales of another length', { a: i8([2, 3]), 'a.scale': f32([3]) }],
    ['scales of another dtype', { a: i8([2, 3]), 'a.scale': i8([2]) }],
    ['floats with scales', { a: f32([2, 3]), 'a.scale': f32([2]) }],
    ['unsigned integers', { a: { dtype: 'U8', shape: [2, 3], data: new Uint8Array(6) } }],
    ['64-bit integers', { a: { dtype: 'I64', shape: [2, 3], data: new BigInt64Array(6) } }],
  ])('refuses %s', async (_what, tensors) => {
    await withWeights(tensors, (weights) => {
      expect(() => weights.take('a', [2, 3])).toThrow(CheckpointError);
    });
  });

  it('accepts linear layers that old checkpoints store as 1×1 convolutions', async () => {
    await withWeights({ a: f32([2, 3, 1, 1]) }, (weights) => {
      expect(weights.take('a', [2, 3]).shape).toEqual([2, 3]);
    });
    await withWeights({ a: f32([2, 3, 2, 1]) }, (weights) => {
      expect(() => weights.take('a', [2, 3])).toThrow(CheckpointError);
    });
  });
});

describe('Weights.finish()', () => {
  it('lists every tensor that nothing used', async () => {
    await withWeights({ a: f32([1]), b: f32([1]), c: f32([1]) }, async (weights, path) => {
      weights.take('b', [1]);
      await expect(weights.finish()).rejects.toThrow(
        new CheckpointError(`${path}: 2 tensors belong to nothing: a, c`),
      );
    });
  });

  it('lets a prefix be left out on purpose', async () => {
    await withWeights({ 'encoder.a': f32([1]), b: f32([1]) }, async (weights) => {
      weights.leaveOut('encoder.');
      weights.take('b', [1]);
      await expect(weights.finish()).resolves.toBeUndefined();
    });
  });

  it('accepts T5’s second copy of the embedding when it is equal, under either name', async () => {
    const [name, copy] = ['shared.weight', 'encoder.embed_tokens.weight'] as const;
    await withWeights(
      { [name]: f32([4, 2]), [copy]: f32([4, 2]) },
      async (weights) => {
        weights.take(name, [4, 2]);
        await expect(weights.finish()).resolves.toBeUndefined();
      },
      TEXT_ENCODER_NAMES,
    );
    await withWeights(
      { [copy]: f32([4, 2]) },
      async (weights) => {
        weights.take(name, [4, 2]);
        await expect(weights.finish()).resolves.toBeUndefined();
      },
      TEXT_ENCODER_NAMES,
    );
    await withWeights(
      { [name]: f32([4, 2]), [copy]: f32([4, 2], 2) },
      async (weights) => {
        weights.take(name, [4, 2]);
        await expect(weights.finish()).rejects.toThrow('should repeat shared.weight and differs');
      },
      TEXT_ENCODER_NAMES,
    );
  });

  it('does without the position embedding that some transformers carry', async () => {
    await withWeights(
      { 'pos_embed.pos_embed': f32([1, 4, 8]) },
      async (weights) => {
        await expect(weights.finish()).resolves.toBeUndefined();
      },
      TRANSFORMER_NAMES,
    );
  });
});

describe('VAE_NAMES', () => {
  it('finds attention layers under their old names', async () => {
    const prefix = 'decoder.mid_block.attentions.0';
    const old = ['query', 'key', 'value', 'proj_attn'].map((name) => [
      `${prefix}.${name}.weight`,
      f32([2, 2]),
    ]);
    await withWeights(
      Object.fromEntries(old),
      async (weights) => {
        for (const name of ['to_q', 'to_k', 'to_v', 'to_out.0'])
          weights.take(`${prefix}.${name}.weight`, [2, 2]);
        await expect(weights.finish()).resolves.toBeUndefined();
      },
      VAE_NAMES,
    );
  });
});
