import { describe, expect, it } from 'vitest';
import {
  broadcastShapes,
  divideDim,
  multiplyDims,
  sameShape,
  slideDim,
} from '../../../../gpu-fn/convert/onnx/shape.ts';

describe('multiplyDims()', () => {
  it('writes equal products equally whatever the order', () => {
    expect(multiplyDims('w', 2, 'h')).toBe('2*h*w');
    expect(multiplyDims('2*h', 'w')).toBe('2*h*w');
    expect(multiplyDims('h', 'h', 3, 4)).toBe('12*h*h');
    expect(multiplyDims(3, 4)).toBe(12);
    expect(multiplyDims()).toBe(1);
  });
});

describe('divideDim()', () => {
  it('cancels symbols and factors, and refuses a rest', () => {
    expect(divideDim('6*h*w', '2*w')).toBe('3*h');
    expect(divideDim(12, 4)).toBe(3);
    expect(divideDim(12, 5)).toBeUndefined();
    expect(divideDim('2*h', 'w')).toBeUndefined();
    expect(divideDim('h', 2)).toBeUndefined();
  });
});

describe('slideDim()', () => {
  it('computes the size of a convolution', () => {
    expect(slideDim(8, { window: 3, padding: 2, stride: 1 })).toBe(8);
    expect(slideDim(8, { window: 3, padding: 1, stride: 2 })).toBe(4);
    expect(slideDim(2, { window: 3, padding: 0, stride: 1 })).toBeUndefined();
  });

  it('keeps symbolic sizes exact and refuses those that depend on the number', () => {
    expect(slideDim('h', { window: 3, padding: 2, stride: 1 })).toBe('h');
    expect(slideDim('2*h', { window: 2, padding: 0, stride: 2 })).toBe('h');
    expect(slideDim('8*h', { window: 3, padding: 1, stride: 2 })).toBe('4*h');
    expect(slideDim('h', { window: 3, padding: 0, stride: 1 })).toBeUndefined();
    expect(slideDim('h', { window: 2, padding: 0, stride: 2 })).toBeUndefined();
  });
});

describe('broadcastShapes()', () => {
  it('follows NumPy', () => {
    expect(broadcastShapes([1, 'n', 4], [4])).toEqual([1, 'n', 4]);
    expect(broadcastShapes(['n', 1], [1, 'm'])).toEqual(['n', 'm']);
    expect(broadcastShapes([], [2])).toEqual([2]);
    expect(broadcastShapes([3], [4])).toBeUndefined();
    expect(broadcastShapes(['n'], [4])).toBeUndefined();
  });
});

describe('sameShape()', () => {
  it('compares rank, numbers and symbols', () => {
    expect(sameShape([1, 'n'], [1, 'n'])).toBe(true);
    expect(sameShape([1, 'n'], [1])).toBe(false);
    expect(sameShape([1, 'n'], [1, 'm'])).toBe(false);
  });
});
