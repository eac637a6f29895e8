import { describe, expect, it } from 'vitest';
import { ServiceError } from '#shared/errors.ts';
import { preparePrompt, promptWarnings } from '../../../gpu-fn/pipeline/prompt.ts';

const info = { id: 'test/alpha', alpha: true, clean_caption: false };
const prepare = (prompt: string, change: Partial<Parameters<typeof preparePrompt>[0]> = {}) =>
  preparePrompt({ prompt, background: 'auto', ...change }, info);

describe('preparePrompt()', () => {
  it('preparePrompt() lower-cases and strips, as diffusers does without caption cleaning', () => {
    expect(prepare('  A Happy\tCACTUS \n').text).toBe('a happy\tcactus');
  });

  it('preparePrompt() adds the transparent background where it is missing', () => {
    const change = { background: 'transparent' as const };
    expect(prepare('a cat', change).text).toBe('a cat on a transparent background');
    const asked = 'a cat on a transparent background';
    expect(prepare(asked, change).text).toBe(asked);
  });

  it('preparePrompt() refuses transparency of a model or a format that has none', () => {
    const change = { background: 'transparent' as const };
    expect(() => prepare('a cat', { ...change, outputFormat: 'jpeg' })).toThrow('jpeg holds no');
    expect(() =>
      preparePrompt(
        { prompt: 'a cat', ...change },
        { id: 'test/rgb', alpha: false, clean_caption: false },
      ),
    ).toThrow('test/rgb draws no transparency');
  });

  it.each([
    ['prompt', 'prompt_empty', { prompt: ' \u200b' }],
    ['prompt', 'prompt_too_long', { prompt: 'a'.repeat(2001) }],
    ['negative_prompt', 'prompt_too_long', { negativePrompt: 'a'.repeat(2001) }],
    ['prompt', 'invalid_utf8', { prompt: 'a\ud800' }],
  ] as const)('preparePrompt() refuses a %s with the code %s', (param, code, change) => {
    try {
      preparePrompt({ prompt: 'a cat', background: 'auto', ...change }, info);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ServiceError);
      expect(error).toMatchObject({ code, param });
    }
  });

  it('preparePrompt() takes a prompt of exactly 2,000 characters and an empty negative one', () => {
    expect(prepare('a'.repeat(2000), { negativePrompt: '' }).text).toHaveLength(2000);
  });
});

describe('promptWarnings()', () => {
  it('promptWarnings() is empty when the whole prompt was used', () => {
    const encoding = { inputIds: Int32Array.of(1), droppedText: '', unknownWords: [] };
    expect(promptWarnings(encoding)).toEqual([]);
  });

  it('promptWarnings() shortens long texts and long lists', () => {
    const [truncated, unknown] = promptWarnings({
      inputIds: Int32Array.of(1),
      droppedText: 'x'.repeat(500),
      unknownWords: Array.from({ length: 9 }, (_, i) => `w${i}`),
    });
    expect(truncated?.message).toContain(`"${'x'.repeat(160)}…"`);
    expect(unknown?.message).toContain('"w7", …');
    expect(unknown?.message).not.toContain('w8');
  });
});
