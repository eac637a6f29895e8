/** Common English words of the emoji vocabulary, for the tokenizer: names and keywords of every emoji. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Emoji {
  readonly label: string;
  readonly tags?: readonly string[];
}

/** Lower-case words of ASCII letters, sorted, each with how many emoji mention it. */
export function readWords(modulesDir: string): ReadonlyMap<string, number> {
  const emojis = JSON.parse(
    readFileSync(join(modulesDir, 'emojibase-data', 'en', 'data.json'), 'utf8'),
  ) as readonly Emoji[];
  const keywords = JSON.parse(
    readFileSync(join(modulesDir, 'emojilib', 'dist', 'emoji-en-US.json'), 'utf8'),
  ) as Readonly<Record<string, readonly string[]>>;
  return countWords([
    ...emojis.map(({ label, tags = [] }) => [label, ...tags]),
    ...Object.values(keywords),
  ]);
}

export function countWords(entries: readonly (readonly string[])[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const entry of entries) {
    const words = new Set(
      entry
        .join(' ')
        .toLowerCase()
        .match(/[a-z]{2,}/g) ?? [],
    );
    for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return new Map([...counts].sort(([x], [y]) => (x < y ? -1 : 1)));
}
