import { describe, expect, it } from 'vitest';
import type { Edit, GenerateOptions, Mask, Pixels } from '../../../gpu-fn/pipeline/components.ts';
import {
  compose,
  latentMask,
  layOnWhite,
  mixLatents,
  prepareEdit,
} from '../../../gpu-fn/pipeline/edit.ts';
import { createLcmScheduler } from '../../../gpu-fn/schedulers/lcm.ts';
import { createRandom } from '../../../gpu-fn/tensor/random.ts';
import { createFakePipeline, FAKE_INFO } from '../../helpers/fake-pipeline.ts';

function gradient(width: number, height: number, channels: 3 | 4 = 3): Pixels {
  const data = Uint8Array.from({ length: width * height * channels }, (_, i) => {
    if (i % channels === 3) return 255;
    const pixel = Math.floor(i / channels);
    return ((pixel % width) * 3 + Math.floor(pixel / width) * 2 + (i % channels) * 20) % 256;
  });
  return { data, width, height, channels };
}

/** The right half is redrawn. */
function rightHalf(width: number, height: number): Mask {
  const data = Uint8Array.from({ length: width * height }, (_, i) =>
    i % width >= width / 2 ? 255 : 0,
  );
  return { data, width, height };
}

const options: GenerateOptions = {
  prompt: 'a red cat',
  width: 64,
  height: 64,
  numInferenceSteps: 4,
  guidanceScale: 0,
  seed: 7,
  sampler: 'lcm',
  sizePolicy: 'fit',
  background: 'auto',
};

/** An encoder whose latents are 0.01 everywhere, with hardly any variance. */
const vaeEncoder = {
  encode: ({ width, height }: { width: number; height: number }) => {
    const length = (4 * width * height) / 64;
    return Promise.resolve({
      mean: new Float32Array(length).fill(0.01),
      logvar: new Float32Array(length).fill(-30),
    });
  },
};
const draw = (edit: Edit, change: Partial<GenerateOptions> = {}) => {
  const { pipeline, calls } = createFakePipeline({ vaeEncoder });
  return pipeline.generate({ ...options, ...change, edit }).then((result) => ({ result, calls }));
};

describe('PixArtLcmPipeline.generate() from a picture', () => {
  it('starts from the picture with the noise of its first step, drawn after the encoder’s', async () => {
    const { calls } = await draw({ image: gradient(64, 64), strength: 0.5 });
    const random = createRandom(7);
    random.normal(256); // the encoder's
    const noise = random.normal(256);
    const schedule = createLcmScheduler({}).schedule(4, { strength: 0.5 });
    const image = new Float32Array(256).fill(0.01);
    const expected = schedule.addNoise({ image, noise, stepIndex: 0 });
    expect(calls.predicts.map(({ timestep }) => timestep)).toEqual(schedule.timesteps);
    const difference = expected.map((x, i) => Math.abs(x - calls.predicts[0]!.latents[i]!));
    expect(Math.max(...difference)).toBeLessThan(1e-5);
  });

  it('takes no step with strength 0', async () => {
    const { calls } = await draw({ image: gradient(64, 64), strength: 0 });
    expect(calls.predicts).toHaveLength(0);
    expect(calls.decodes[0]?.latents[0]).toBeCloseTo(0.01, 5);
  });

  it('keeps every pixel outside of the mask as it was, and redraws those well inside', async () => {
    const image = gradient(64, 64);
    const { result } = await draw({ image, mask: rightHalf(64, 64), strength: 1 });
    const changed = { left: 0, right: 0 };
    for (let i = 0; i < image.data.length; i += 1) {
      const column = Math.floor(i / 3) % 64;
      if (result.image.data[i] === image.data[i]) continue;
      if (column < 32) changed.left += 1;
      else if (column >= 40) changed.right += 1;
    }
    expect(changed.left).toBe(0);
    expect(changed.right).toBeGreaterThan(24 * 64);
  });

  it('puts the picture’s latents back outside of the mask after every step', async () => {
    const { calls } = await draw({ image: gradient(64, 64), mask: rightHalf(64, 64), strength: 1 });
    const [last] = calls.decodes;
    const left = [0, 1, 2, 3].map((column) => last!.latents[column]!);
    expect(left.every((value) => Math.abs(value - 0.01) < 1e-5)).toBe(true);
    expect(Math.abs(last!.latents[7]! - 0.01)).toBeGreaterThan(1e-3);
  });

  it('resizes and crops the picture to what is asked for', async () => {
    const edit = { image: gradient(200, 100), mask: rightHalf(200, 100), strength: 1 };
    const { result } = await draw(edit, { width: 80, height: 80 });
    expect(result.image).toMatchObject({ width: 80, height: 80 });
  });

  it('refuses a mask of another size, a strength out of range, and a model without an encoder', async () => {
    const image = gradient(64, 64);
    await expect(draw({ image, mask: rightHalf(32, 64), strength: 1 })).rejects.toMatchObject({
      param: 'mask',
      detail: 'must have the size of the image, 64x64, not 32x64',
    });
    await expect(draw({ image, strength: 1.5 })).rejects.toMatchObject({ param: 'strength' });
    const { pipeline } = createFakePipeline();
    await expect(
      pipeline.generate({ ...options, edit: { image, strength: 1 } }),
    ).rejects.toMatchObject({ code: 'invalid_parameter', param: 'image' });
  });
});

describe('PixArtLcmPipeline.generate() with guidance', () => {
  const info = { ...FAKE_INFO, guidance: { min: 0, max: 20, default: 0 } };

  it('predicts twice a step and combines, with the negative prompt encoded once', async () => {
    const { pipeline, calls } = createFakePipeline({ info });
    const { warnings } = await pipeline.generate({
      ...options,
      guidanceScale: 4.5,
      negativePrompt: 'a cat',
    });
    expect(calls.predicts).toHaveLength(8);
    expect(calls.inputIds).toHaveLength(2);
    expect(calls.predicts[0]?.prompt.tokenCount).toBe(4);
    expect(calls.predicts[1]?.prompt.tokenCount).toBe(3);
    expect(calls.predicts[1]?.latents).toEqual(calls.predicts[0]?.latents);
    expect(warnings).toEqual([]);
  });

  it('predicts once a step at a scale of 1, and says that the negative prompt is not used', async () => {
    const { pipeline, calls } = createFakePipeline({ info });
    const { warnings } = await pipeline.generate({
      ...options,
      guidanceScale: 1,
      negativePrompt: 'a cat',
    });
    expect(calls.predicts).toHaveLength(4);
    expect(warnings).toMatchObject([{ code: 'negative_prompt_ignored', param: 'negative_prompt' }]);
  });
});

describe('prepareEdit()', () => {
  const sizes = { requested: [64, 64], drawn: [64, 64], channels: 3 } as const;

  it('changes nothing where nothing has to be resized', () => {
    const image = gradient(64, 64);
    const { reference, drawn } = prepareEdit({ image, strength: 1 }, sizes);
    expect(reference).toEqual(image);
    expect(drawn).toEqual(image);
  });

  it('lets the model see what is cropped away later, in its place', () => {
    const image = gradient(128, 64);
    const prepared = prepareEdit({ image, strength: 1 }, { ...sizes, drawn: [128, 64] });
    expect(prepared.drawn).toEqual(image);
    const middle = Array.from({ length: 64 }, (_, column) => image.data[(column + 32) * 3]!);
    const row = Array.from({ length: 64 }, (_, column) => prepared.reference.data[column * 3]!);
    expect(row).toEqual(middle);
  });

  it('lays transparent pixels on white and keeps alpha for a VAE that knows it', () => {
    const image: Pixels = { data: Uint8Array.of(255, 0, 0, 0), width: 1, height: 1, channels: 4 };
    expect([...layOnWhite(image, 3).data]).toEqual([255, 255, 255]);
    expect([...layOnWhite(image, 4).data]).toEqual([255, 255, 255, 0]);
    expect([...layOnWhite(gradient(1, 1), 4).data]).toEqual([0, 20, 40, 255]);
  });
});

describe('latentMask() and mixLatents()', () => {
  it('take the nearest pixel of the mask and keep the rest', () => {
    const cells = latentMask(rightHalf(16, 16), { channels: 2, height: 2, width: 2 });
    expect([...cells]).toEqual([0, 1, 0, 1]);
    const mixed = mixLatents(new Float32Array(8).fill(1), new Float32Array(8).fill(2), cells);
    expect([...mixed]).toEqual([2, 1, 2, 1, 2, 1, 2, 1]);
  });
});

describe('compose()', () => {
  it('mixes along the inner edge of the mask only', () => {
    const black: Pixels = { ...gradient(32, 8), data: new Uint8Array(32 * 8 * 3) };
    const white: Pixels = { ...black, data: new Uint8Array(32 * 8 * 3).fill(255) };
    const { data } = compose(white, black, rightHalf(32, 8));
    const row = Array.from({ length: 32 }, (_, column) => data[column * 3]!);
    expect(row.slice(0, 16)).toEqual(Array(16).fill(0));
    expect(row.slice(20)).toEqual(Array(12).fill(255));
    const seam = row.slice(16, 20);
    expect(seam).toEqual(seam.toSorted((a, b) => a - b));
    expect(seam[0]).toBeGreaterThan(0);
  });
});
