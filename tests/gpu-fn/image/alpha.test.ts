import { describe, expect, it } from 'vitest';
import { toOpaque, unmatteWhite } from '../../../gpu-fn/image/alpha.ts';

const pixel = (...data: number[]) => ({
  data: Uint8Array.from(data),
  width: 1,
  height: 1,
  channels: data.length as 3 | 4,
});

describe('toOpaque()', () => {
  it('toOpaque() drops alpha and keeps the colour laid on white', () => {
    expect(toOpaque(pixel(200, 210, 220, 128))).toEqual(pixel(200, 210, 220));
  });

  it('toOpaque() returns an RGB image as it is', () => {
    const image = pixel(1, 2, 3);
    expect(toOpaque(image)).toBe(image);
  });
});

describe('unmatteWhite()', () => {
  it.each([
    ['keeps an opaque colour', [10, 20, 30, 255], [10, 20, 30, 255]],
    // half covered by black on white is 127.5: taking the white out leaves black
    ['takes the white out of an edge', [127, 191, 255, 128], [0, 128, 255, 128]],
    ['clamps what rounding or the network overshot', [0, 255, 100, 100], [0, 255, 0, 100]],
    ['leaves nothing where nothing is seen', [255, 255, 255, 0], [0, 0, 0, 0]],
  ])('unmatteWhite() %s', (_, flattened, straight) => {
    expect([...unmatteWhite(pixel(...flattened)).data]).toEqual(straight);
  });

  it('unmatteWhite() laid on white again gives the picture back within one step', () => {
    for (let alpha = 1; alpha < 256; alpha += 7) {
      for (let colour = 0; colour < 256; colour += 15) {
        const flattened = Math.round((colour * alpha + 255 * (255 - alpha)) / 255);
        const [c = 0] = unmatteWhite(pixel(flattened, flattened, flattened, alpha)).data;
        const again = (c * alpha + 255 * (255 - alpha)) / 255;
        expect(Math.abs(again - flattened)).toBeLessThanOrEqual(1);
      }
    }
  });

  it('unmatteWhite() refuses an image without alpha', () => {
    expect(() => unmatteWhite(pixel(1, 2, 3))).toThrow('without alpha');
  });
});
