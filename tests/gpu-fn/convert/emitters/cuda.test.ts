import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../../../gpu-fn/convert/convert.ts';
import { OnnxPixArtTransformer } from '../../../../gpu-fn/models/pixart-transformer.ts';
import { T5Encoder } from '../../../../gpu-fn/models/t5-encoder.ts';
import { OnnxVaeDecoder } from '../../../../gpu-fn/models/vae-decoder.ts';
import { type Bundle, loadBundle } from '../../../../gpu-fn/runtime/bundle.ts';
import { pixelPsnr, relativeError } from '../../../helpers/compare-tensors.ts';
import { hashInput } from '../../../helpers/hash-tensor.ts';
import { ProtobufMessage } from '../../../helpers/protobuf-reader.ts';
import { type TemporaryFolder, temporaryFolder } from '../../../helpers/temporary-folder.ts';
import { writeTinyCheckpoint } from '../../../helpers/tiny-checkpoint.ts';

/** Operators in these graphs that have a kernel of the CUDA provider, from ONNX Runtime's OperatorKernels.md. */
const CUDA_OPERATORS = new Set([
  'Add',
  'Cast',
  'Clip',
  'Concat',
  'Conv',
  'Cos',
  'DepthToSpace',
  'Expand',
  'FastGelu',
  'Gather',
  'Gelu',
  'Identity',
  'InstanceNormalization',
  'LayerNormalization',
  'MatMul',
  'MatMulNBits',
  'Mul',
  'MultiHeadAttention',
  'Range',
  'Reshape',
  'Resize',
  'Round',
  'Shape',
  'Sigmoid',
  'SimplifiedLayerNormalization',
  'Sin',
  'Split',
  'Sub',
  'Transpose',
  'Unsqueeze',
]);

let folder: TemporaryFolder;
let reference: Bundle;
beforeAll(async () => {
  folder = temporaryFolder();
  const checkpoint = writeTinyCheckpoint(`${folder.path}/checkpoint`);
  const convert = (out: string, target: 'cpu' | 'cuda', precision: 'fp32' | 'fp16' | 'int8') =>
    convertCheckpoint({ checkpoint, out: `${folder.path}/${out}`, target, precision });
  await convert('reference', 'cpu', 'fp32');
  await convert('fp16', 'cuda', 'fp16');
  await convert('int8', 'cuda', 'int8');
  reference = await loadBundle(`${folder.path}/reference`);
});
afterAll(() => folder[Symbol.asyncDispose]());

describe('the CUDA graphs', () => {
  it.each(['fp16', 'int8'])('of %s hold operators of the CUDA provider only', async (name) => {
    for (const file of (await readdir(`${folder.path}/${name}`)).filter((f) =>
      f.endsWith('.onnx'),
    )) {
      const model = new ProtobufMessage(await readFile(`${folder.path}/${name}/${file}`));
      const operators = model
        .message(7)
        .messages(1)
        .map((node) => node.string(4));
      expect(
        operators.filter((operator) => !CUDA_OPERATORS.has(operator)),
        file,
      ).toEqual([]);
    }
  });

  it('keep 8-bit matrices in blocks of 32 only where asked', async () => {
    const operators = async (name: string) => {
      const model = new ProtobufMessage(await readFile(`${folder.path}/${name}/denoise.onnx`));
      return model
        .message(7)
        .messages(1)
        .map((node) => node.string(4));
    };
    expect(await operators('fp16')).not.toContain('MatMulNBits');
    const int8 = await operators('int8');
    expect(int8.filter((operator) => operator === 'MatMulNBits')).toHaveLength(2 * 8); // per block: 6 + 2, k and v apart
  });

  it.each(['fp16', 'int8'])(
    'of %s compute on the CPU what the float32 graphs compute',
    async (name) => {
      const bundle = await loadBundle(`${folder.path}/${name}`);
      await using encoders = new AsyncDisposableStack();
      const embed = async (from: Bundle) =>
        await encoders.use(await T5Encoder.load(from)).embed(Int32Array.of(4, 5, 9, 1));
      const embeds = await embed(reference);
      // halves have 11 bits; values pass through some tens of roundings
      expect(relativeError(await embed(bundle), embeds)).toBeLessThan(3e-3);

      const latents = hashInput('latents', [1, 4, 8, 8]);
      const size = { latents, height: 8, width: 8 };
      const predict = async (from: Bundle) => {
        const transformer = encoders.use(await OnnxPixArtTransformer.load(from));
        return await transformer.predict({
          ...size,
          timestep: 499,
          prompt: await transformer.condition(embeds),
        });
      };
      expect(relativeError(await predict(bundle), await predict(reference))).toBeLessThan(3e-3);

      const decode = async (from: Bundle) =>
        await encoders.use(await OnnxVaeDecoder.load(from)).decode(size);
      expect(pixelPsnr(await decode(bundle), await decode(reference))).toBeGreaterThan(50);
    },
  );
});
