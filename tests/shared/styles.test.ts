import { describe, expect, it } from 'vitest';
import { predictionInput } from '#shared/schemas/prediction-input.ts';
import { applyStyle, STYLE_NAMES } from '#shared/styles.ts';

describe('applyStyle()', () => {
  it('puts words around the prompt, and its own negative words before the caller’s', () => {
    const plain = { prompt: 'a cat', negativePrompt: 'dogs' };
    const { prompt, negativePrompt } = applyStyle('3d-model', plain);
    expect(prompt).toMatch(/^professional 3d model a cat \. octane render, /);
    expect(negativePrompt).toMatch(/^ugly, .*, painting, dogs$/);
  });

  it('adds no comma where the caller has no negative prompt', () => {
    const { negativePrompt } = applyStyle('anime', { prompt: 'a cat', negativePrompt: ' ' });
    expect(negativePrompt).toMatch(/low contrast$/);
  });

  it.each([undefined, 'none', 'constructor'])('changes nothing for %s', (style) => {
    const plain = { prompt: 'a cat', negativePrompt: '' };
    expect(applyStyle(style, plain)).toEqual(plain);
  });

  it.each(STYLE_NAMES)('has the name %s, which a request can carry', (style) => {
    expect(predictionInput.parse({ prompt: 'a', style }).style).toBe(style);
  });
});
