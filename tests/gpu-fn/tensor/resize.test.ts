import { describe, expect, it } from 'vitest';
import { cropCentre, resizeBilinear } from '../../../gpu-fn/tensor/resize.ts';
import golden from '../../fixtures/golden/resize/resize.json' with { type: 'json' };

const source = {
  data: Uint8Array.from(golden.data),
  width: golden.width,
  height: golden.height,
  channels: 3 as const,
};

describe('resizeBilinear()', () => {
  it.each(golden.results)(
    'resizeBilinear() and cropCentre() give $height × $width as diffusers does, half a step apart at most',
    ({ width, height, data }) => {
      // diffusers: cover the target, then crop its middle
      const ratio = Math.max(height / source.height, width / source.width);
      const cover = resizeBilinear(
        source,
        Math.trunc(source.width * ratio),
        Math.trunc(source.height * ratio),
      );
      const image = cropCentre(cover, width, height);
      expect(image).toMatchObject({ width, height, channels: 3 });
      expect(image.data).toHaveLength(data.length);
      const error = Math.max(
        ...image.data.map((value, i) => Math.ceil(Math.abs(value - data[i]!) - 0.501)),
      );
      expect(error).toBeLessThanOrEqual(0);
    },
  );

  it('resizeBilinear() of a single pixel repeats it', () => {
    const pixel = { data: Uint8Array.of(1, 2, 3, 4), width: 1, height: 1, channels: 4 as const };
    expect([...resizeBilinear(pixel, 2, 1).data]).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
  });
});

describe('cropCentre()', () => {
  it('cropCentre() loses the odd column and row at the right and bottom', () => {
    const image = {
      data: Uint8Array.from([1, 2, 3, 4, 5, 6].flatMap((value) => [value, value, value])),
      width: 2,
      height: 3,
      channels: 3 as const,
    };
    expect([...cropCentre(image, 1, 2).data]).toEqual([1, 1, 1, 3, 3, 3]);
  });

  it('cropCentre() takes the whole image and refuses one column more', () => {
    expect(cropCentre(source, 6, 8).data).toEqual(source.data);
    expect(() => cropCentre(source, 7, 8)).toThrow('6 × 8 holds no 7 × 8');
  });
});
