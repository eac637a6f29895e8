import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { createPromptPolicy } from '../../edge/prompt-policy.ts';

function verdict(blocklist: string[], prompt: string): string {
  try {
    createPromptPolicy(blocklist).check(prompt);
    return 'taken';
  } catch (error) {
    return (error as ServiceError).code;
  }
}

describe('createPromptPolicy()', () => {
  test.each([
    ['a mean word', 'moderation_blocked'],
    ['a MEAN, word!', 'moderation_blocked'],
    ['ｍｅａｎ\u00a0word', 'moderation_blocked'],
    ['mean-word', 'moderation_blocked'],
    ['word mean', 'taken'],
    ['a meaning wordless', 'taken'],
    ['mean', 'taken'],
    ['constructor', 'taken'],
    ['', 'taken'],
  ])('createPromptPolicy() of a phrase: %j is %s', (prompt, expected) => {
    expect(verdict(['mean word'], prompt)).toBe(expected);
  });

  test('createPromptPolicy() takes everything where nothing is listed, and says so', () => {
    expect(verdict([], 'a mean word')).toBe('taken');
    expect(createPromptPolicy([]).name).toBe('off');
    expect(createPromptPolicy(['x']).name).toBe('blocklist');
  });

  test('createPromptPolicy() takes time by the prompt, not by the list', () => {
    const list = Array.from({ length: 10_000 }, (_, i) => `phrase ${i}`);
    const policy = createPromptPolicy(list);
    const prompt = 'phras '.repeat(333);
    const startMs = performance.now();
    for (let i = 0; i < 100; i += 1) policy.check(prompt);
    expect((performance.now() - startMs) / 100).toBeLessThan(20);
  });
});
