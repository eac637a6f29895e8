import { describe, expect, it } from 'vitest';
import { parsePromptFlags } from '#shared/prompt-flags.ts';

describe('parsePromptFlags()', () => {
  it('leaves a prompt without flags as it is', () => {
    expect(parsePromptFlags('a --art piece -- ar 1:2')).toEqual({
      prompt: 'a --art piece -- ar 1:2',
      droppedText: '',
    });
  });

  it.each([
    'a cat --ar 3:4',
    'a cat --ar=3:4',
    'a cat  --aspect_ratio 3:4 ',
    'a cat --ar 1:1 --aspect_ratio 3:4',
  ])('reads the ratio of %j, height first', (text) => {
    expect(parsePromptFlags(text)).toEqual({ prompt: 'a cat', aspectRatio: 0.75, droppedText: '' });
  });

  it('reads a size, which wins over a ratio', () => {
    expect(parsePromptFlags('a cat --ar 1:1 --hw 768:512')).toEqual({
      prompt: 'a cat',
      size: { height: 768, width: 512 },
      droppedText: '',
    });
  });

  it('tells what stood behind the flags', () => {
    expect(parsePromptFlags('a cat --ar 1:2 in  a hat').droppedText).toBe('in a hat');
  });

  it.each([
    ['a cat --ar', '--ar must be followed by height:width'],
    ['a cat --ar 16x9', '--ar must be followed by height:width'],
    ['a cat --ar 0:1', '--ar must be followed by height:width'],
    ['a cat --hw 512:1e3', '--hw must be followed by height:width'],
    ['a cat --hw 512:500', '--hw takes multiples of 16 from 64 to 2048, not 500'],
    ['a cat --hw 4096:512', '--hw takes multiples of 16 from 64 to 2048, not 4096'],
  ])('says what is wrong with %j', (text, fault) => {
    expect(parsePromptFlags(text).fault).toBe(fault);
  });
});
