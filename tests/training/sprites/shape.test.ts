import { describe, expect, it } from 'vitest';
import {
  boundingBox,
  coverage,
  distanceToOutside,
  inscribedCircle,
} from '../../../training/sprites/shape.ts';
import { CLEAR, disc, paint, SIDE } from './drawings.ts';

describe('boundingBox()', () => {
  it('boundingBox() encloses what is visible', () => {
    expect(boundingBox(disc(255, 0, 0), SIDE, SIDE)).toEqual({
      left: 8,
      top: 6,
      width: 25,
      height: 25,
    });
  });

  it('boundingBox() is null for an empty drawing', () => {
    expect(
      boundingBox(
        paint(() => CLEAR),
        SIDE,
        SIDE,
      ),
    ).toBeNull();
  });

  it('boundingBox() ignores alpha up to 8 and sees 9', () => {
    const faint = paint((x, y) => [0, 0, 0, x === 3 && y === 4 ? 9 : 8]);
    expect(boundingBox(faint, SIDE, SIDE)).toEqual({ left: 3, top: 4, width: 1, height: 1 });
  });
});

describe('coverage()', () => {
  it('coverage() is the part of the square that is opaque', () => {
    expect(coverage(paint((x) => [0, 0, 0, x < 10 ? 255 : 0]))).toBeCloseTo(0.25, 6);
  });
});

describe('distanceToOutside()', () => {
  it('distanceToOutside() counts the border of the frame as outside', () => {
    const full = distanceToOutside(
      paint(() => [0, 0, 0, 255]),
      SIDE,
    );
    expect(full[0]).toBe(1);
    expect(full[SIDE * 20 + 5]).toBe(6);
  });

  it('distanceToOutside() is Euclidean', () => {
    const hole = paint((x, y) => (x === 20 && y === 20 ? CLEAR : [0, 0, 0, 255]));
    expect(distanceToOutside(hole, SIDE)[24 * SIDE + 23]).toBeCloseTo(5, 9); // 3-4-5
  });

  it('distanceToOutside() is 0 outside', () => {
    expect(distanceToOutside(disc(0, 0, 0), SIDE)[0]).toBe(0);
  });
});

describe('inscribedCircle()', () => {
  it('inscribedCircle() finds the centre and radius of a disc', () => {
    const circle = inscribedCircle(distanceToOutside(disc(0, 0, 0), SIDE), SIDE);
    expect(circle).toMatchObject({ x: 20, y: 18 });
    expect(circle.radius).toBeGreaterThan(12);
    expect(circle.radius).toBeLessThanOrEqual(13);
  });
});
