import { describe, expect, it } from 'vitest';
import type { ModelInfo } from '#shared/schemas/model.ts';
import { predictionInput } from '#shared/schemas/prediction-input.ts';
import { completeInput } from '../../../gpu-fn/predictions/complete-input.ts';
import { TEST_MODEL } from '../../helpers/controlled-engine.ts';

function complete(fields: object, { info = TEST_MODEL, random = (): number => 0 } = {}) {
  return completeInput(predictionInput.parse({ prompt: 'a cat', ...fields }), { info, random });
}

describe('completeInput()', () => {
  it('keeps what is given', () => {
    const given = {
      seed: 7,
      width: 128,
      height: 96,
      num_inference_steps: 2,
      guidance_scale: 1.5,
      scheduler: 'lcm',
    };
    expect(complete(given)).toMatchObject(given);
  });

  it.each([
    [0, 0],
    [0.5, 2_147_483_648],
    [1 - Number.EPSILON / 2, 4_294_967_295],
  ])('draws a seed from %d: %d', (number, seed) => {
    expect(complete({}, { random: () => number }).seed).toBe(seed);
  });

  it.each([1, 8])('takes %i steps, a border of the model', (steps) => {
    expect(complete({ num_inference_steps: steps }).num_inference_steps).toBe(steps);
  });

  it('refuses nine steps, naming field and range', () => {
    expect(() => complete({ num_inference_steps: 9 })).toThrow(
      expect.objectContaining({
        code: 'invalid_parameter',
        param: 'num_inference_steps',
        detail: 'must be an integer from 1 to 8 with lcm, not 9',
      }),
    );
  });

  it('takes guidance of at most 1 with every model, since it means none', () => {
    const info: ModelInfo = { ...TEST_MODEL, guidance: { min: 3, max: 5, default: 3 } };
    expect(complete({ guidance_scale: 1 }, { info }).guidance_scale).toBe(1);
    expect(() => complete({ guidance_scale: 2 }, { info })).toThrow('from 3 to 5');
    expect(() => complete({ guidance_scale: 5.01 }, { info })).toThrow('from 3 to 5');
  });

  it('refuses transparency of a model without alpha', () => {
    const info = { ...TEST_MODEL, alpha: false };
    const background = 'transparent';
    expect(() => complete({ background }, { info })).toThrow('draws no transparency');
    expect(complete({ background }).background).toBe('transparent');
  });

  it('leaves the sizes of models with bins to the pipeline', () => {
    const info: ModelInfo = { ...TEST_MODEL, sizes: 'bins' };
    const size = { width: 512, height: 512, size_policy: 'exact' };
    expect(complete(size, { info })).toMatchObject(size);
  });

  it('fills in strength and metadata, and adds no member that was not asked for', () => {
    const completed = complete({ image: null, style: null });
    expect(completed).toMatchObject({ strength: 0.8, metadata: 'minimal' });
    expect(Object.keys(completed)).not.toContain('image');
    expect(Object.keys(completed)).not.toContain('style');
  });

  it('refuses a picture that the model cannot start from, and a style that it does not list', () => {
    const image = 'data:image/png;base64,iVBORw0KGgo=';
    expect(() => complete({ image })).toThrow(expect.objectContaining({ param: 'image' }));
    const info: ModelInfo = { ...TEST_MODEL, capabilities: ['image'], styles: ['anime'] };
    expect(complete({ image, style: 'anime' }, { info })).toMatchObject({ image, style: 'anime' });
    expect(() => complete({ image, mask: image }, { info })).toThrow(
      expect.objectContaining({ param: 'mask' }),
    );
    expect(() => complete({ style: 'manga' }, { info })).toThrow('must be one of anime');
  });

  it('refuses what only other models can do, naming the field', () => {
    const image = 'data:image/png;base64,iVBORw0KGgo=';
    const info: ModelInfo = { ...TEST_MODEL, capabilities: ['control', 'lora'] };
    const loras = [{ id: 'style', weight: 1 }];
    for (const fields of [{ control_image: image }, { loras }] as const) {
      const [param] = Object.keys(fields);
      expect(() => complete(fields)).toThrow(expect.objectContaining({ param }));
      expect(complete(fields, { info })).toMatchObject(fields);
    }
    expect(() => complete({ decoder: 'full' }, { info })).toThrow('must be fast');
    expect(() => complete({ return_edges: true }, { info })).toThrow('needs control_image');
  });

  it('refuses another model than the one that is served', () => {
    expect(complete({ model: TEST_MODEL.id }).model).toBe(TEST_MODEL.id);
    expect(() => complete({ model: 'owner/other' })).toThrow(
      expect.objectContaining({ code: 'model_not_found', param: 'model' }),
    );
  });
});
