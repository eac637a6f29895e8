import { describe, expect, it } from 'vitest';
import { latentsToRgb } from '../../../gpu-fn/pipeline/preview.ts';

describe('latentsToRgb()', () => {
  it('latentsToRgb() multiplies each cell by the matrix, adds the bias and clamps', () => {
    const latents = Float32Array.of(1, -1, 0.5, 9); // [1, 2, 1, 2]: two channels, two cells
    const image = latentsToRgb(
      latents,
      { channels: 2, height: 1, width: 2 },
      {
        factors: [
          [1, 0, 0.5],
          [0, 1, 0],
        ],
        bias: [0, 0, -0.5],
      },
    );
    // cell 0: r = 1 → 255, g = 0.5 → 191.25, b = 0 → 127.5; cell 1: r = −1 → 0, g = 9 → 255, b = −1 → 0
    expect(image).toEqual({
      data: Uint8Array.of(255, 191, 128, 0, 255, 0),
      width: 2,
      height: 1,
      channels: 3,
    });
  });
});
