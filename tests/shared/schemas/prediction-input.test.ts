import { expect, test } from 'vitest';
import { INPUT_PICTURE_BYTES_MAX } from '#shared/limits.ts';
import { SAMPLERS } from '#shared/schemas/model.ts';
import { predictionInput } from '#shared/schemas/prediction-input.ts';

test('predictionInput fills in defaults and strips what it does not know', () => {
  expect(predictionInput.parse({ prompt: 'a cactus', webhook_secret: 'x' })).toEqual({
    prompt: 'a cactus',
    negative_prompt: '',
    num_outputs: 1,
    output_format: 'png',
    output_quality: 90,
    size_policy: 'fit',
    background: 'auto',
  });
});

test('predictionInput bounds the picture, not only its sides', () => {
  const parse = (width: number, height: number) =>
    predictionInput.safeParse({ prompt: 'a', width, height }).success;
  expect(parse(2048, 1024)).toBe(true);
  expect(parse(2048, 1040)).toBe(false);
});

test.each([
  { num_outputs: 11 },
  { output_quality: 0 },
  { output_format: 'gif' },
  { scheduler: '../lcm' },
  { seed: -1 },
  { prompt: '' },
  { image: 'https://example.com/a.png' },
  { image: 'data:image/svg+xml;base64,PHN2Zz4=' },
  { image: 'data:image/gif;base64,R0lGODlh' },
  { mask: 'data:image/png;base64,iVBO' },
  { strength: 1.01 },
  { strength: 0.125 },
  { style: 'Digital Art' },
  { metadata: {} },
  { metadata: 'all' },
  { control_image: 'https://example.com/a.png' },
  { control_scale: 2.01 },
  { control_scale: 0.125 },
  { loras: [{ id: '../a', weight: 1 }] },
  { loras: [{ id: 'a', weight: 2.001 }] },
  { loras: [{ id: 'a', weight: 1.0001 }] },
  { loras: [{ id: 'a' }, { id: 'a' }] },
  { loras: ['a', 'b', 'c', 'd', 'e'].map((id) => ({ id })) },
  { model: 'a/b/c' },
])('predictionInput refuses %j', (member) => {
  expect(predictionInput.safeParse({ prompt: 'a', ...member }).success).toBe(false);
});

test('predictionInput takes pictures to edit, a style and a metadata policy', () => {
  const image = 'data:image/png;base64,iVBORw0KGgo=';
  const members = { image, mask: image, strength: 0.35, style: '3d-model', metadata: 'full' };
  expect(predictionInput.parse({ prompt: 'a', ...members })).toMatchObject(members);
});

test('predictionInput measures a picture by its length, before anything is decoded', () => {
  const issue = (bytes: number) => {
    const image = `data:image/jpeg;base64,${'A'.repeat(4 * Math.ceil(bytes / 3))}`;
    return predictionInput.safeParse({ prompt: 'a', image }).error?.issues[0];
  };
  expect(issue(INPUT_PICTURE_BYTES_MAX)).toBeUndefined();
  expect(issue(INPUT_PICTURE_BYTES_MAX + 3)).toMatchObject({
    path: ['image'],
    params: { code: 'payload_too_large' },
  });
});

test.each(SAMPLERS)('predictionInput takes the sampler name %s', (scheduler) => {
  expect(predictionInput.parse({ prompt: 'a', scheduler }).scheduler).toBe(scheduler);
});
