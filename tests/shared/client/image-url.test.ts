import { describe, expect, it } from 'vitest';
import { buildImageUrl, buildPromptUrl } from '#shared/client/image-url.ts';

const ORIGIN = 'https://edge.test';
const ID = 'ab'.repeat(32);

describe('buildImageUrl()', () => {
  it('is the original by default', () => {
    expect(buildImageUrl(ORIGIN, ID)).toBe(`${ORIGIN}/i/${ID}.png`);
  });

  it('names a format by its extension and sorts the parameters', () => {
    expect(
      buildImageUrl(ORIGIN, ID, {
        width: 64,
        height: 32,
        quality: 80,
        fit: 'cover',
        format: 'jpeg',
      }),
    ).toBe(`${ORIGIN}/i/${ID}.jpg?fit=cover&h=32&q=80&w=64`);
  });
});

describe('buildPromptUrl()', () => {
  it('keeps the whole prompt in one segment', () => {
    expect(buildPromptUrl(ORIGIN, 'a/b? 50% ü')).toBe(`${ORIGIN}/prompt/a%2Fb%3F%2050%25%20%C3%BC`);
  });

  it('refuses what a URL would take for a step in its path, and nothing like it', () => {
    expect(() => buildPromptUrl(ORIGIN, '..')).toThrow(RangeError);
    expect(new URL(buildPromptUrl(ORIGIN, '...')).pathname).toBe('/prompt/...');
  });

  it('sorts the parameters and leaves out what is absent', () => {
    expect(
      buildPromptUrl(ORIGIN, 'a', { width: 128, seed: 0, format: 'webp', quality: 80, key: 'k&' }),
    ).toBe(`${ORIGIN}/prompt/a?fm=webp&key=k%26&q=80&seed=0&width=128`);
  });
});
