/**
 * What may be asked for: a list of words and phrases that the operator refuses (`PROMPT_BLOCKLIST`). Without one every prompt
 * is taken, and the service says so.
 *
 * Words are compared as whole words, without regard to case, width or what stands between them.
 */
import { ServiceError } from '#shared/errors.ts';

export interface PromptPolicy {
  readonly name: 'off' | 'blocklist';
  /** @throws {ServiceError} `moderation_blocked` */
  check(prompt: string): void;
}

export function createPromptPolicy(blocklist: readonly string[]): PromptPolicy {
  /** Phrases as words, by their first word: the work grows with the prompt, not with the list. */
  const phrases = new Map<string, string[][]>();
  for (const phrase of blocklist) {
    const words = wordsOf(phrase);
    const [first] = words;
    if (first === undefined) continue;
    phrases.set(first, [...(phrases.get(first) ?? []), words]);
  }
  return {
    name: phrases.size === 0 ? 'off' : 'blocklist',
    check: (prompt) => {
      if (phrases.size === 0) return;
      const words = wordsOf(prompt);
      const isBlocked = words.some((word, at) =>
        phrases.get(word)?.some((phrase) => phrase.every((part, i) => words[at + i] === part)),
      );
      if (!isBlocked) return;
      throw new ServiceError('moderation_blocked', {
        detail: 'The prompt holds something that this service does not draw.',
        param: 'prompt',
      });
    },
  };
}

function wordsOf(text: string): string[] {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .split(/[^\p{L}\p{N}\p{M}]+/u)
    .filter((word) => word !== '');
}
