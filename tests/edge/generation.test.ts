import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { generateRequest } from '#shared/schemas/generate.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import {
  findUnknownNames,
  listPictures,
  planGeneration,
  toPredictionInput,
} from '../../edge/generation.ts';
import { MODEL } from '../helpers/model.ts';

function plan(members: Record<string, unknown>, model: Partial<ModelInfo> = {}) {
  const chosen = { ...MODEL, ...model };
  return planGeneration(generateRequest.parse({ prompt: 'a fox', ...members }), {
    config: {
      models: [chosen],
      defaultModel: chosen,
      modelAliases: true,
      visibilityDefault: 'account',
      urlSigningKeys: [],
    },
    account: 'acme',
    keyId: 'key1',
    unknownNames: [],
  });
}

const refusal = (members: Record<string, unknown>, model?: Partial<ModelInfo>) => {
  try {
    plan(members, model);
    return undefined;
  } catch (error) {
    const { code, param, detail } = error as ServiceError;
    return { code, param, detail };
  }
};

describe('planGeneration()', () => {
  test('planGeneration() fills in every default', () => {
    expect(plan({}).base).toEqual({
      prompt: 'a fox',
      negative_prompt: '',
      width: 128,
      height: 128,
      num_inference_steps: 4,
      guidance_hundredths: 0,
      scheduler: 'lcm',
      model: MODEL.id,
      revision: MODEL.revision,
      numeric_class: 'cpu-int8',
      output_format: 'png',
      output_quality: 100,
      background: 'opaque',
      metadata: 'minimal',
      partition: 'account:acme',
    });
    expect(plan({})).toMatchObject({
      count: 1,
      quality: 'medium',
      sizePolicy: 'fit',
      responseFormat: 'b64_json',
      stream: false,
      partialImages: 0,
      safetyIdentifier: null,
      warnings: [],
    });
  });

  test.each([
    ['low', 2, 'low'],
    ['medium', 4, 'medium'],
    ['standard', 4, 'medium'],
    ['auto', 4, 'medium'],
    ['high', 8, 'high'],
    ['hd', 8, 'high'],
    ['xhigh', 8, 'high'],
    ['max', 8, 'high'],
  ])('planGeneration() takes quality %s for %i steps', (quality, steps, level) => {
    expect(plan({ quality })).toMatchObject({
      quality: level,
      base: { num_inference_steps: steps },
    });
  });

  test('planGeneration() lets explicit steps win, under any of their names', () => {
    for (const name of ['num_inference_steps', 'steps', 'step']) {
      expect(plan({ quality: 'hd', [name]: 3 }).base.num_inference_steps).toBe(3);
    }
    expect(plan({ steps: 3, num_inference_steps: 3 }).base.num_inference_steps).toBe(3);
    expect(refusal({ steps: 3, num_inference_steps: 4 })).toMatchObject({ param: 'steps' });
    expect(refusal({ steps: 9 })).toEqual({
      code: 'invalid_parameter',
      param: 'steps',
      detail: 'steps must be an integer from 1 to 8 with lcm, not 9.',
    });
  });

  test('planGeneration() keeps quality within what the sampler can do', () => {
    const samplers = { lcm: { steps: { min: 3, max: 5, default: 4 } } };
    expect(plan({ quality: 'low' }, { samplers }).base.num_inference_steps).toBe(3);
    expect(plan({ quality: 'max' }, { samplers }).base.num_inference_steps).toBe(5);
    const named = {
      lcm: { steps: { min: 1, max: 50, default: 20 }, quality: { low: 10, medium: 20, high: 40 } },
    };
    expect(plan({ quality: 'high' }, { samplers: named }).base.num_inference_steps).toBe(40);
  });

  test('planGeneration() keys guidance of 1 and below as none', () => {
    const keyed = (guidance_scale: number) => plan({ guidance_scale }).base.guidance_hundredths;
    expect([0, 0.5, 1, 1.01, 4.35, 8].map(keyed)).toEqual([0, 0, 0, 101, 435, 800]);
    expect(refusal({ guidance_scale: 8.01 })?.param).toBe('guidance_scale');
    const none = { guidance: { min: 0, max: 0, default: 0 } };
    expect(plan({ guidance_scale: 1 }, none).base.guidance_hundredths).toBe(0);
    expect(refusal({ guidance_scale: 4.5 }, none)?.detail).toContain('at most 1, which means none');
  });

  test('planGeneration() ignores a negative prompt without guidance, and says so', () => {
    const ignored = plan({ negative_prompt: 'blur' });
    expect(ignored.base.negative_prompt).toBe('');
    expect(ignored.warnings.map(({ code }) => code)).toEqual(['negative_prompt_ignored']);
    const used = plan({ negative_prompt: ' blur ', guidance_scale: 4 });
    expect([used.base.negative_prompt, used.warnings]).toEqual(['blur', []]);
  });

  test('planGeneration() takes any size to fit, and only the model’s own where exact', () => {
    expect(plan({ size: '1024x512' }).base).toMatchObject({ width: 1024, height: 512 });
    expect(plan({ width: 256, height: 64 }).base).toMatchObject({ width: 256, height: 64 });
    expect(plan({ size: 'auto', size_policy: 'exact' }).base).toMatchObject({ width: 128 });
    expect(refusal({ size: '256x256', size_policy: 'exact' })).toEqual({
      code: 'invalid_parameter',
      param: 'size',
      detail: 'pixart-edge/stickers-nano draws 128x128, not 256x256.',
    });
    expect(refusal({ width: 2048, height: 1040 })?.param).toBe('width');
    expect(refusal({ width: 128 })).toMatchObject({ code: 'missing_parameter', param: 'height' });
    expect(refusal({ height: 128 })).toMatchObject({ code: 'missing_parameter', param: 'width' });
    expect(refusal({ size: '128x128', width: 128, height: 64 })?.param).toBe('size');
    expect(plan({ size: '128x64', width: 128, height: 64 }).base.height).toBe(64);
  });

  test('planGeneration() settles what auto background means', () => {
    const keyed = (members: object, model?: Partial<ModelInfo>) =>
      plan(members as Record<string, unknown>, model).base.background;
    const asked = { prompt: 'a fox on a Transparent Background' };
    expect(keyed({})).toBe('opaque');
    expect(keyed(asked)).toBe('transparent');
    expect(keyed({ ...asked, background: 'opaque' })).toBe('opaque');
    expect(keyed({ ...asked, output_format: 'jpeg' })).toBe('opaque');
    expect(keyed(asked, { alpha: false })).toBe('opaque');
    expect(keyed({ background: 'transparent', output_format: 'webp' })).toBe('transparent');
    expect(refusal({ background: 'transparent', output_format: 'jpg' })?.param).toBe('background');
    expect(refusal({ background: 'transparent' }, { alpha: false })?.param).toBe('background');
  });

  test('planGeneration() keys file quality only where it changes bytes', () => {
    const keyed = (members: Record<string, unknown>) => plan(members).base;
    expect(keyed({ output_format: 'jpg' })).toMatchObject({
      output_format: 'jpeg',
      output_quality: 100,
    });
    expect(keyed({ output_format: 'webp', output_compression: 0 }).output_quality).toBe(1);
    expect(keyed({ output_format: 'webp', output_compression: 80 }).output_quality).toBe(80);
    expect(keyed({ output_compression: 100 }).output_quality).toBe(100);
    expect(refusal({ output_compression: 99 })?.param).toBe('output_compression');
  });

  test('planGeneration() knows models by id and by the names of OpenAI’s', () => {
    expect(plan({ model: MODEL.id }).warnings).toEqual([]);
    for (const model of [
      'dall-e-2',
      'dall-e-3',
      'gpt-image-1',
      'gpt-image-1-mini',
      'chatgpt-image-latest',
    ]) {
      expect(plan({ model }).warnings.map(({ code }) => code)).toEqual(['model_aliased']);
    }
    for (const model of ['stickers-nano', 'dall-e', 'flux', 'a/gpt-image-1', '__proto__']) {
      expect(refusal({ model }), model).toMatchObject({ code: 'model_not_found', param: 'model' });
    }
    const config = {
      models: [MODEL],
      defaultModel: MODEL,
      modelAliases: false,
      visibilityDefault: 'account',
      urlSigningKeys: [],
    } as const;
    const request = generateRequest.parse({ prompt: 'a', model: 'dall-e-3' });
    expect(() =>
      planGeneration(request, { config, account: 'a', keyId: 'key1', unknownNames: [] }),
    ).toThrow('not known');
  });

  test('planGeneration() names members that it ignores, but not endlessly', () => {
    const request = generateRequest.parse({ prompt: 'a' });
    const config = {
      models: [MODEL],
      defaultModel: MODEL,
      modelAliases: true,
      visibilityDefault: 'public',
      urlSigningKeys: [],
    } as const;
    const unknownNames = Array.from({ length: 20 }, (_, i) => `member${i}`.padEnd(100, '\ud800'));
    const { warnings, base } = planGeneration(request, {
      config,
      account: 'a',
      keyId: 'key1',
      unknownNames,
    });
    expect(warnings[0]?.message.length).toBeLessThan(700);
    expect(warnings[0]?.message).toContain('and 12 more');
    expect(warnings[0]?.message.isWellFormed()).toBe(true);
    expect(base.partition).toBe('public');
  });
});

describe('listPictures()', () => {
  test('listPictures() counts seeds up, round the end of 32 bits', async () => {
    const pictures = await listPictures(plan({ n: 3, seed: 4_294_967_294 }), {
      randomSeed: undefined,
    });
    expect(pictures.map(({ generation }) => generation.seed)).toEqual([
      4_294_967_294, 4_294_967_295, 0,
    ]);
    expect(new Set(pictures.map(({ cacheKey }) => cacheKey)).size).toBe(3);
  });

  test('listPictures() derives the seed unless told to draw one; a given seed wins over both', async () => {
    const seedOf = async (members: object, randomSeed?: () => number) =>
      (await listPictures(plan(members as Record<string, unknown>), { randomSeed }))[0]!.generation
        .seed;
    expect(await seedOf({})).toBe(await seedOf({}));
    expect(await seedOf({})).not.toBe(await seedOf({ steps: 5 }));
    expect(await seedOf({}, () => 9)).toBe(9);
    expect(await seedOf({ seed: 7 }, () => 9)).toBe(7);
  });
});

test('toPredictionInput() sends hundredths back as a scale, one picture at a time', async () => {
  const made = plan({
    n: 2,
    seed: 1,
    guidance_scale: 4.35,
    negative_prompt: 'x',
    size_policy: 'fit',
  });
  const pictures = await listPictures(made, { randomSeed: undefined });
  expect(toPredictionInput(made, pictures[1]!)).toMatchObject({
    guidance_scale: 4.35,
    negative_prompt: 'x',
    num_outputs: 1,
    seed: 2,
    size_policy: 'fit',
  });
});

test('findUnknownNames() lists members that the schema does not, own ones only', () => {
  const body = Object.assign(Object.create(null), {
    prompt: 'a',
    Prompt: 1,
    __proto__x: 1,
    toString: 1,
  });
  expect(findUnknownNames(body)).toEqual(['Prompt', '__proto__x', 'toString']);
});

describe('planGeneration() of samplers, styles and flags', () => {
  const samplers = {
    lcm: { steps: { min: 1, max: 8, default: 4 } },
    'dpm-solver++': {
      steps: { min: 1, max: 100, default: 20 },
      quality: { low: 10, medium: 20, high: 40 },
    },
  };

  test('planGeneration() takes a sampler that the model lists, with its own steps', () => {
    const chosen = plan({ scheduler: 'dpm-solver++', quality: 'high' }, { samplers });
    expect(chosen.base).toMatchObject({ scheduler: 'dpm-solver++', num_inference_steps: 40 });
    expect(plan({ scheduler: 'dpm-solver++', steps: 60 }, { samplers }).base).toMatchObject({
      num_inference_steps: 60,
    });
  });

  test('planGeneration() refuses a sampler that the model does not list, naming those it has', () => {
    expect(refusal({ scheduler: 'ddim' }, { samplers })).toEqual({
      code: 'invalid_parameter',
      param: 'scheduler',
      detail: `scheduler must be one of lcm, dpm-solver++ with ${MODEL.id}, not ddim.`,
    });
    expect(refusal({ scheduler: 'lcm', steps: 9 }, { samplers })).toMatchObject({ param: 'steps' });
  });

  test('planGeneration() keys a style and full metadata, and sends both on', async () => {
    const styled = plan({ style: 'anime', metadata: 'full' }, { styles: ['anime'] });
    const [picture] = await listPictures(styled, { randomSeed: undefined });
    expect(toPredictionInput(styled, picture!)).toMatchObject({ style: 'anime', metadata: 'full' });
    const [plain] = await listPictures(plan({ seed: picture!.generation.seed }), {
      randomSeed: undefined,
    });
    expect(plain!.cacheKey).not.toBe(picture!.cacheKey);
    expect(toPredictionInput(plan({}), plain!)).not.toHaveProperty('style');
  });

  test('planGeneration() accepts OpenAI’s styles without effect and refuses what the model lacks', () => {
    expect(plan({ style: 'vivid' }).base).toEqual(plan({}).base);
    expect(refusal({ style: 'anime' })).toMatchObject({
      code: 'invalid_parameter',
      param: 'style',
      detail: `style anime cannot be used: ${MODEL.id} has no styles.`,
    });
  });

  test('planGeneration() reads sizes at the end of the prompt, and keys the prompt without them', () => {
    const sizes: ModelInfo['sizes'] = [
      [128, 128],
      [96, 192],
    ];
    const tall = plan({ prompt: 'a fox --ar 2:1' }, { sizes });
    expect(tall.base).toMatchObject({ prompt: 'a fox', width: 96, height: 192 });
    const exact = plan({ prompt: 'a fox --hw 256:128 please' }, { sizes });
    expect(exact.base).toMatchObject({ prompt: 'a fox', width: 128, height: 256 });
    expect(exact.warnings).toMatchObject([{ code: 'prompt_truncated', param: 'prompt' }]);
    const named = plan({ prompt: 'a fox --ar 2:1', size: '128x128' }, { sizes });
    expect(named.base).toMatchObject({ width: 128, height: 128 });
  });

  test('planGeneration() refuses flags that cannot be followed', () => {
    expect(refusal({ prompt: 'a fox --ar wide' })).toMatchObject({
      code: 'invalid_parameter',
      param: 'prompt',
    });
    expect(refusal({ prompt: '--ar 1:1' })).toMatchObject({ code: 'prompt_empty' });
  });
});
