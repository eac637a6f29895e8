import { access, cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type ConvertProgress,
  convertCheckpoint,
  DestinationError,
} from '../../../gpu-fn/convert/convert.ts';
import { loadBundle } from '../../../gpu-fn/runtime/bundle.ts';
import { liveSessionCount } from '../../../gpu-fn/runtime/session.ts';
import { CheckpointError } from '../../../gpu-fn/safetensors/errors.ts';
import { transformerShapes, vaeShapes } from '../../helpers/checkpoint-shapes.ts';
import { type TemporaryFolder, temporaryFolder } from '../../helpers/temporary-folder.ts';
import { tinyConfigs, writeTensors, writeTinyCheckpoint } from '../../helpers/tiny-checkpoint.ts';

let folder: TemporaryFolder;
let pristine: string;
let checkpoint: string;
let out: string;
let counter = 0;
beforeAll(() => {
  folder = temporaryFolder();
  pristine = writeTinyCheckpoint(`${folder.path}/pristine`);
});
afterAll(() => folder[Symbol.asyncDispose]());
beforeEach(async () => {
  counter += 1;
  checkpoint = `${folder.path}/checkpoint-${counter}`;
  out = `${folder.path}/bundles-${counter}/tiny`;
  await cp(pristine, checkpoint, { recursive: true });
});

const TRANSFORMER = 'transformer/diffusion_pytorch_model.safetensors';
const VAE = 'vae/diffusion_pytorch_model.safetensors';

async function editJson(
  file: string,
  edit: (value: Record<string, unknown>) => void,
): Promise<void> {
  const value = JSON.parse(await readFile(`${checkpoint}/${file}`, 'utf8')) as Record<
    string,
    unknown
  >;
  edit(value);
  await writeFile(`${checkpoint}/${file}`, JSON.stringify(value));
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

describe('convertCheckpoint()', () => {
  it('writes a bundle that loads, with every file digested and the checkpoint’s own settings', async () => {
    const manifest = await convertCheckpoint({ checkpoint, out });
    const bundle = await loadBundle(out);
    expect(bundle.manifest).toEqual(manifest);
    const files = (await readdir(out)).filter((name) => name !== 'manifest.json');
    expect(files.toSorted()).toEqual(Object.keys(manifest.files).toSorted());
    expect(manifest).toMatchObject({
      id: 'pixart-edge/tiny',
      license: 'Apache-2.0',
      target: 'cpu',
      precision: 'int8',
      numeric_class: 'cpu-int8',
      text: { max_sequence_length: 64, channels: 64 },
      transformer: { latent_channels: 4, width: 64, sample_size: 8 },
      vae: { channels: 4, scale_factor: 8, scaling_factor: 1 },
      scheduler: { _class_name: 'LCMScheduler', prediction_type: 'v_prediction' },
      info: {
        native_size: [64, 64],
        alpha: true,
        default_sampler: 'lcm',
        revision: manifest.revision,
      },
    });
    expect(manifest.preview?.latent_rgb_factors.length).toBe(4);
    expect(liveSessionCount()).toBe(0);
  });

  it('gives the same bytes for the same checkpoint, and another revision for another precision', async () => {
    const first = await convertCheckpoint({ checkpoint, out: `${out}-1`, vaeEncoder: false });
    const second = await convertCheckpoint({ checkpoint, out: `${out}-2`, vaeEncoder: false });
    expect(second).toEqual(first);
    const float = await convertCheckpoint({ checkpoint, out: `${out}-3`, precision: 'fp32' });
    expect(float.revision).not.toBe(first.revision);
  });

  it('describes a checkpoint without pixart-edge.json by its configurations', async () => {
    await rm(`${checkpoint}/pixart-edge.json`);
    const manifest = await convertCheckpoint({
      checkpoint,
      out,
      precision: 'fp32',
      license: 'MIT',
    });
    expect(manifest.info).toMatchObject({
      id: `checkpoint-${counter}`,
      license: 'MIT',
      max_sequence_length: 120,
      clean_caption: true,
      native_size: [64, 64],
      sizes: [[64, 64]],
      samplers: { lcm: { steps: { min: 1, max: 8, default: 4 } } },
    });
  });

  it('leaves the VAE’s encoder out when asked, or when the checkpoint has none', async () => {
    const without = await convertCheckpoint({
      checkpoint,
      out,
      precision: 'fp32',
      vaeEncoder: false,
    });
    expect(without.graphs.vae_encoder).toBeUndefined();
    const shapes = vaeShapes(tinyConfigs().vae);
    for (const name of [...shapes.keys()]) {
      if (name.startsWith('encoder.') || name.startsWith('quant_conv.')) shapes.delete(name);
    }
    writeTensors(`${checkpoint}/${VAE}`, shapes, 'shipped');
    const decoderOnly = await convertCheckpoint({ checkpoint, out, precision: 'fp32' });
    expect(decoderOnly.graphs.vae_encoder).toBeUndefined();
    expect(decoderOnly.graphs.vae_decoder).toBeDefined();
  });

  it('reports progress up to the last byte', async () => {
    const seen: ConvertProgress[] = [];
    await convertCheckpoint({ checkpoint, out, onProgress: (progress) => seen.push(progress) });
    expect(seen[0]?.stage).toBe('calibrate');
    const last = seen.at(-1)!;
    expect(last.graph).toBe('vae_encoder');
    expect(last.bytesDone).toBeGreaterThanOrEqual(last.bytesTotal);
    expect(last.bytesTotal).toBeGreaterThan(100_000);
  });

  it('replaces an earlier bundle and touches nothing else', async () => {
    await convertCheckpoint({ checkpoint, out, precision: 'fp32' });
    await convertCheckpoint({ checkpoint, out, precision: 'fp32', license: 'MIT' });
    expect((await loadBundle(out)).manifest.license).toBe('MIT');
    await mkdir(`${out}-notes`);
    await writeFile(`${out}-notes/todo.txt`, 'mine');
    await expect(convertCheckpoint({ checkpoint, out: `${out}-notes` })).rejects.toThrow(
      DestinationError,
    );
    expect(await readFile(`${out}-notes/todo.txt`, 'utf8')).toBe('mine');
    await expect(convertCheckpoint({ checkpoint, out: `${out}-notes/todo.txt` })).rejects.toThrow(
      DestinationError,
    );
  });
});

describe('convertCheckpoint() of a damaged checkpoint', () => {
  /** Converts, expects a refusal that says `reason`, and that nothing is left. */
  async function expectRefusal(reason: string | RegExp): Promise<void> {
    const converting = convertCheckpoint({ checkpoint, out });
    await expect(converting).rejects.toThrow(CheckpointError);
    await expect(converting).rejects.toThrow(reason);
    expect(await exists(out)).toBe(false);
    expect(await readdir(dirname(out)).catch(() => [])).toEqual([]);
    expect(liveSessionCount()).toBe(0);
  }

  it('refuses a truncated file, naming it', async () => {
    const bytes = (await readFile(`${checkpoint}/${TRANSFORMER}`)).length;
    await truncate(`${checkpoint}/${TRANSFORMER}`, bytes - 1);
    await expectRefusal(TRANSFORMER);
  });

  it('refuses a tensor of another shape, naming it', async () => {
    const shapes = transformerShapes(tinyConfigs().transformer);
    shapes.set('transformer_blocks.1.attn2.to_k.weight', [64, 65]);
    writeTensors(`${checkpoint}/${TRANSFORMER}`, shapes, 'shipped');
    await expectRefusal('tensor transformer_blocks.1.attn2.to_k.weight is [64, 65]');
  });

  it('refuses a missing tensor and lists tensors left over', async () => {
    const shapes = transformerShapes(tinyConfigs().transformer);
    shapes.delete('scale_shift_table');
    writeTensors(`${checkpoint}/${TRANSFORMER}`, shapes, 'shipped');
    await expectRefusal('tensor scale_shift_table is missing');

    shapes.set('scale_shift_table', [2, 64]);
    shapes.set('lora_A.weight', [4, 64]);
    shapes.set('norm.weight', [64]);
    writeTensors(`${checkpoint}/${TRANSFORMER}`, shapes, 'float32');
    await expectRefusal('2 tensors belong to nothing: lora_A.weight, norm.weight');
  });

  it('refuses configurations with missing or unsupported members, naming the key', async () => {
    await editJson('transformer/config.json', (config) => delete config.num_layers);
    await expectRefusal(/transformer\/config\.json: num_layers/);
    await cp(pristine, checkpoint, { recursive: true });
    await editJson('text_encoder/config.json', (config) => delete config.d_kv);
    await expectRefusal(/text_encoder\/config\.json: d_kv/);
    await cp(pristine, checkpoint, { recursive: true });
    await editJson('scheduler/scheduler_config.json', (config) => delete config.prediction_type);
    await expectRefusal(/scheduler_config\.json: prediction_type/);
    await cp(pristine, checkpoint, { recursive: true });
    await editJson('model_index.json', (index) => {
      index._class_name = 'StableDiffusionPipeline';
    });
    await expectRefusal(/model_index\.json: _class_name/);
  });

  it('refuses components that do not fit each other', async () => {
    await editJson('transformer/config.json', (config) => {
      config.caption_channels = 32;
    });
    await expectRefusal(
      'caption_channels 32 are not the text encoder’s d_model 64'.replace('’', "'"),
    );
    await cp(pristine, checkpoint, { recursive: true });
    await editJson('vae/config.json', (config) => {
      config.latent_channels = 8;
    });
    await expectRefusal("in_channels 4 are not the VAE's latent_channels 8");
  });

  it('refuses a scheduler that has no sampler', async () => {
    await editJson('pixart-edge.json', (edge) => {
      delete edge.samplers;
      delete edge.default_sampler;
    });
    await editJson('scheduler/scheduler_config.json', (config) => {
      config._class_name = 'EulerDiscreteScheduler';
    });
    await expectRefusal('EulerDiscreteScheduler is not one of');
  });

  it('refuses a vocabulary with more pieces than the embedding has rows', async () => {
    const words = Array.from({ length: 100 }, (_, i) => `word${i}`);
    writeTinyCheckpoint(checkpoint, { words });
    await expectRefusal('tokenizer/spiece.model has 150 pieces, the text encoder 128 rows');
  });

  it('refuses weights that are not finite, naming the tensor', async () => {
    writeTensors(
      `${checkpoint}/${TRANSFORMER}`,
      transformerShapes(tinyConfigs().transformer),
      'float32',
    );
    const file = await readFile(`${checkpoint}/${TRANSFORMER}`);
    file.writeFloatLE(Number.NaN, file.length - 4);
    await writeFile(`${checkpoint}/${TRANSFORMER}`, file);
    await expectRefusal('tensor proj_out.bias: NaN or infinity');
  });
});

describe('convertCheckpoint() interrupted', () => {
  it('leaves nothing when the signal is aborted before, while and just before it ends', async () => {
    const seen: ConvertProgress[] = [];
    const options = { checkpoint, out, vaeEncoder: false };
    await convertCheckpoint({ ...options, onProgress: (progress) => seen.push(progress) });
    await rm(out, { recursive: true });
    for (const after of [0, 1, 2, seen.length - 1]) {
      const controller = new AbortController();
      if (after === 0) controller.abort(new Error('stop'));
      let count = 0;
      const converting = convertCheckpoint({
        ...options,
        signal: controller.signal,
        onProgress() {
          count += 1;
          if (count === after) controller.abort(new Error('stop'));
        },
      });
      await expect(converting, `after ${after}`).rejects.toThrow('stop');
      expect(await exists(out)).toBe(false);
      expect((await readdir(dirname(out))).filter((name) => name.includes('partial'))).toEqual([]);
      expect(liveSessionCount()).toBe(0);
    }
  });

  it('keeps the earlier bundle when the next conversion fails', async () => {
    const first = await convertCheckpoint({ checkpoint, out, precision: 'fp32' });
    await truncate(`${checkpoint}/${VAE}`, 100);
    await expect(convertCheckpoint({ checkpoint, out })).rejects.toThrow(CheckpointError);
    expect((await loadBundle(out)).manifest).toEqual(first);
  });

  it('removes what a killed conversion left, and leaves that of a living one', async () => {
    await mkdir(dirname(out), { recursive: true });
    const dead = `${out}.partial-${2 ** 22 + 1}`; // above the largest process id of Linux
    const living = `${out}.partial-${process.ppid}`;
    await mkdir(dead);
    await mkdir(living);
    await convertCheckpoint({ checkpoint, out, precision: 'fp32' });
    expect(await exists(dead)).toBe(false);
    expect(await exists(living)).toBe(true);
  });
});
