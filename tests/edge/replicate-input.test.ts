import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { ServiceError as Refused } from '#shared/errors.ts';
import { parseReplicateInput, underInput } from '../../edge/replicate-input.ts';
import { MODEL } from '../helpers/model.ts';

const parse = (input: Record<string, unknown>) =>
  parseReplicateInput({ prompt: 'a fox', ...input }, MODEL);

describe('parseReplicateInput()', () => {
  test('parseReplicateInput() calls members as every surface does', () => {
    const { request, unknownNames } = parse({
      num_outputs: 3,
      output_format: 'jpg',
      output_quality: 80,
      go_fast: true,
    });
    expect(request).toMatchObject({ n: 3, output_compression: 80, model: MODEL.id });
    expect(unknownNames).toEqual(['go_fast']);
  });

  test('parseReplicateInput() lets a quality pass where the format has none', () => {
    expect(parse({ output_quality: 80 }).request.output_compression).toBeNull();
  });

  test.each([
    [{ size: '256x256', width: 64, height: 64, aspect_ratio: '1:2' }, '256x256', null],
    [{ width: 64, height: 128, aspect_ratio: '1:2' }, undefined, 64],
    [{ aspect_ratio: '16:9' }, '176x96', undefined],
    [{ aspect_ratio: '1:1' }, '128x128', undefined],
    [{ aspect_ratio: '1:100' }, '64x1280', undefined],
  ])('parseReplicateInput() chooses the size of %j', (input, size, width) => {
    const { request } = parse(input);
    expect([request.size, request.width]).toEqual([size, width]);
  });

  test.each([
    [{ num_outputs: 11 }, 'input.num_outputs'],
    [{ aspect_ratio: 'wide' }, 'input.aspect_ratio'],
    [{ prompt: 7 }, 'input.prompt'],
    [{ seed: -1 }, 'input.seed'],
  ])('parseReplicateInput() refuses %j and names %s', (input, param) => {
    expect(() => parse(input)).toThrow(expect.objectContaining({ param }));
  });
});

test('underInput() names members of the planned request as callers of predictions do', () => {
  const fail = () => {
    throw new Refused('invalid_parameter', { param: 'n', detail: 'n must be less.' });
  };
  const error = (() => {
    try {
      return underInput(fail);
    } catch (reason) {
      return reason as ServiceError;
    }
  })();
  expect(error).toMatchObject({ param: 'input.num_outputs' });
});
