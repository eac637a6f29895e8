import { describe, expect, it } from 'vitest';
import { resampleWindow } from '../../../gpu-fn/tensor/resample.ts';

const row = (...values: number[]) => ({
  data: Uint8Array.from(values),
  width: values.length,
  height: 1,
  channels: 1,
});
const whole = (width: number) => ({ x: 0, y: 0, width, height: 1 });

describe('resampleWindow()', () => {
  it('gives the same bytes where nothing changes', () => {
    const image = row(3, 200, 17, 90);
    expect(resampleWindow(image, whole(4), { width: 4, height: 1 })).toEqual(image.data);
  });

  it('enlarges with half-pixel centres, the edge going on', () => {
    const out = resampleWindow(row(0, 100), whole(2), { width: 4, height: 1 });
    expect([...out]).toEqual([0, 25, 75, 100]);
  });

  it('counts every pixel when it reduces', () => {
    const image = row(...Array.from({ length: 64 }, (_, i) => (i % 2) * 255));
    const out = resampleWindow(image, whole(64), { width: 4, height: 1 });
    for (const value of out.slice(1, 3)) expect(Math.abs(value - 127.5)).toBeLessThan(3);
  });

  it('cuts a part, and lets the edge go on beyond the image', () => {
    const image = row(10, 20, 30, 40);
    expect([...resampleWindow(image, { ...whole(2), x: 1 }, { width: 2, height: 1 })]).toEqual([
      20, 30,
    ]);
    expect([...resampleWindow(image, { ...whole(8), x: -2 }, { width: 8, height: 1 })]).toEqual([
      10, 10, 10, 20, 30, 40, 40, 40,
    ]);
  });

  it('keeps the channels apart', () => {
    const image = { data: Uint8Array.of(0, 10, 255, 20), width: 2, height: 1, channels: 2 };
    const out = resampleWindow(image, whole(2), { width: 1, height: 1 });
    expect([...out]).toEqual([128, 15]);
  });
});
