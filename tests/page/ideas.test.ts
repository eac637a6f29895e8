import { describe, expect, it } from 'vitest';
import { makeIdeas } from '../../edge/public/ideas.js';

const VOCABULARY = {
  concepts: ['cat', 'dog', 'car'],
  styles: ['flat'],
  colours: ['red', 'blue'],
  backdrops: ['gradient'],
};
/** Always the first of what is left. */
const first = () => 0;

describe('makeIdeas()', () => {
  it('says a colour, a style and a backdrop in the words of the model', () => {
    expect(makeIdeas(VOCABULARY, 3, first)).toEqual([
      'red dog, red to blue gradient background',
      'car, flat style',
      'cat, red to blue gradient background',
    ]);
  });

  it('never repeats a thing, and offers no more than there are', () => {
    expect(makeIdeas(VOCABULARY, 9)).toHaveLength(3);
  });

  it('has prompts for a model that says nothing of its words', () => {
    expect(makeIdeas(undefined, 2)).toHaveLength(2);
  });
});
