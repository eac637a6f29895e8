import { describe, expect, it } from 'vitest';
import { measureColour, nameHue, toOklab } from '../../../training/sprites/colour.ts';
import { distanceToOutside } from '../../../training/sprites/shape.ts';
import { CLEAR, disc, paint, SIDE } from './drawings.ts';

const measure = (rgba: Uint8Array) => measureColour(rgba, distanceToOutside(rgba, SIDE));

describe('toOklab()', () => {
  it('toOklab() gives the published value of red', () => {
    const red = toOklab(255, 0, 0);
    expect(red.L).toBeCloseTo(0.628, 3);
    expect(red.a).toBeCloseTo(0.225, 3);
    expect(red.b).toBeCloseTo(0.126, 3);
  });

  it('toOklab() puts white at lightness 1 without chroma', () => {
    const white = toOklab(255, 255, 255);
    expect(white.L).toBeCloseTo(1, 4);
    expect(Math.hypot(white.a, white.b)).toBeLessThan(1e-3);
  });
});

describe('measureColour()', () => {
  it('measureColour() finds the hue of a drawing of one colour', () => {
    const facts = measure(disc(30, 136, 229));
    expect(facts.hue).toBeGreaterThan(240);
    expect(facts.hue).toBeLessThan(260);
    expect(facts.hueShare).toBe(1);
    expect(facts.natural).toBe('blue');
  });

  it('measureColour() takes the larger of two hues and its share', () => {
    const facts = measure(
      paint((x, y) => {
        if (x < 5 || x >= 35 || y < 5 || y >= 35) return CLEAR;
        return x < 26 ? [67, 160, 71, 255] : [229, 57, 53, 255];
      }),
    );
    expect(facts.natural).toBe('green');
    expect(facts.hueShare).toBeCloseTo(21 / 30, 6);
  });

  it('measureColour() has no hue for a gray drawing, which can be tinted', () => {
    const facts = measure(disc(150, 150, 150));
    expect(facts.hue).toBeNull();
    expect(facts.grayShare).toBe(1);
    expect(facts.natural).toBe('gray');
  });

  it.each([
    [[250, 250, 250], 'white'],
    [[20, 20, 22], 'black'],
  ] as const)('measureColour() names %j', ([r, g, b], name) => {
    expect(measure(disc(r, g, b)).natural).toBe(name);
  });

  it('measureColour() leaves a mixture of black and white unnamed', () => {
    const facts = measure(paint((x, y) => ((x + y) % 2 ? [0, 0, 0, 255] : [255, 255, 255, 255])));
    expect(facts.natural).toBeNull();
  });
});

describe('nameHue()', () => {
  it.each([
    ['#e53935', 'red'],
    ['#fb8c00', 'orange'],
    ['#fdd835', 'yellow'],
    ['#43a047', 'green'],
    ['#14a3a0', 'teal'],
    ['#1e88e5', 'blue'],
    ['#8e44c8', 'purple'],
    ['#f277b0', 'pink'],
    ['#8d5b3a', 'brown'],
    ['#a8d8f8', 'light blue'],
  ])('nameHue() calls the palette colour %s %s', (hex, name) => {
    const value = Number.parseInt(hex.slice(1), 16);
    expect(nameHue(toOklab(value >> 16, (value >> 8) & 255, value & 255))).toBe(name);
  });

  it('nameHue() has no word for cream', () => {
    expect(nameHue(toOklab(240, 215, 180))).toBeNull();
  });
});
