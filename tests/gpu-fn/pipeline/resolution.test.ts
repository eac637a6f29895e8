import { describe, expect, it } from 'vitest';
import { ServiceError } from '#shared/errors.ts';
import { fitTo, resolveSize } from '../../../gpu-fn/pipeline/resolution.ts';

const bins = (side: number) => ({
  id: 'test/bins',
  native_size: [side, side] as [number, number],
  sizes: 'bins' as const,
});
const square = { id: 'test/square', native_size: [128, 128] as [number, number] };
const fit = { sizePolicy: 'fit' as const };
const exact = { sizePolicy: 'exact' as const };

describe('resolveSize()', () => {
  // width, height asked for → width, height drawn; the reference's examples, turned into width × height
  it.each([
    [1024, 768, 1152, 832],
    [768, 1024, 896, 1152],
    [1920, 1072, 1344, 768],
    [1072, 1920, 768, 1344],
    [1008, 608, 1280, 768],
    [608, 1008, 768, 1280],
    [256, 2048, 512, 2048],
  ])('resolveSize() of a model with bins draws %ix%i at %ix%i', (width, height, w, h) => {
    expect(resolveSize({ width, height, ...fit }, bins(1024)).drawn).toEqual([w, h]);
  });

  it('resolveSize() halves and quarters the bins for the smaller models', () => {
    const size = { width: 1024, height: 768, ...fit };
    expect(resolveSize(size, bins(512)).drawn).toEqual([576, 416]);
    expect(resolveSize(size, bins(256)).drawn).toEqual([288, 208]);
    expect(() => resolveSize(size, bins(128))).toThrow('native size of 128');
  });

  it('resolveSize() draws a listed size as it is, without a warning', () => {
    const info = { ...square, sizes: [[128, 128] as [number, number]] };
    expect(resolveSize({ width: 128, height: 128, ...fit }, info)).toEqual({ drawn: [128, 128] });
    expect(resolveSize({ width: 128, height: 128, ...exact }, info)).toEqual({ drawn: [128, 128] });
  });

  it('resolveSize() takes the nearest ratio, then the nearest area', () => {
    const sizes: [number, number][] = [
      [128, 128],
      [256, 256],
      [256, 128],
    ];
    const info = { ...square, sizes };
    expect(resolveSize({ width: 512, height: 512, ...fit }, info).drawn).toEqual([256, 256]);
    expect(resolveSize({ width: 96, height: 96, ...fit }, info).drawn).toEqual([128, 128]);
    expect(resolveSize({ width: 1024, height: 512, ...fit }, info).drawn).toEqual([256, 128]);
  });

  it('resolveSize() with exact refuses another size and lists what is drawn', () => {
    const sizes: [number, number][] = [
      [128, 128],
      [256, 128],
    ];
    const run = () => resolveSize({ width: 144, height: 128, ...exact }, { ...square, sizes });
    expect(run).toThrow(ServiceError);
    expect(run).toThrow('144x128 cannot be drawn by test/square; it draws 128x128, 256x128');
  });

  it.each([
    ['width', 48, 128],
    ['width', 2064, 128],
    ['width', 128.5, 128],
    ['height', 128, 63],
    ['height', 128, 72],
    ['width', 2048, 1040],
  ])(
    'resolveSize() refuses a %s outside the limits of the service: %ix%i',
    (param, width, height) => {
      const info = { ...square, sizes: [[128, 128] as [number, number]] };
      try {
        resolveSize({ width, height, ...fit }, info);
        expect.unreachable();
      } catch (error) {
        expect(error).toMatchObject({ code: 'invalid_parameter', param });
      }
    },
  );

  it.each([
    [64, 2048],
    [2048, 1024],
  ])('resolveSize() allows the limits themselves: %ix%i', (width, height) => {
    const info = { ...square, sizes: [[128, 128] as [number, number]] };
    expect(resolveSize({ width, height, ...fit }, info).warning?.code).toBe('size_resampled');
  });
});

describe('fitTo()', () => {
  const image = {
    data: Uint8Array.from({ length: 128 * 128 * 3 }, (_, i) => i % 251),
    width: 128,
    height: 128,
    channels: 3 as const,
  };

  it('fitTo() returns the picture itself when the size is right', () => {
    expect(fitTo(image, 128, 128)).toBe(image);
  });

  it.each([64, 80, 176, 592, 1104, 2032])(
    'fitTo() gives exactly the size asked for: %ix64',
    (side) => {
      expect(fitTo(image, side, 64)).toMatchObject({ width: side, height: 64 });
      expect(fitTo(image, 64, side)).toMatchObject({ width: 64, height: side });
    },
  );
});
