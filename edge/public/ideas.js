/** Example prompts from the words that a model knows. */

const FALLBACK = [
  'a happy cactus in the desert',
  'a red apple on a white background',
  'a blue car, flat style',
  'a cute cat, 3d style',
];

/**
 * @param {{concepts: string[], styles: string[], colours: string[], backdrops: string[]} | undefined} vocabulary
 * @param {number} count
 * @param {() => number} random from 0 up to, not including, 1
 * @returns {string[]} different prompts, without articles, as the model's own captions are written
 */
export function makeIdeas(vocabulary, count, random = Math.random) {
  if (vocabulary === undefined || vocabulary.concepts.length === 0) return FALLBACK.slice(0, count);
  const pick = (words) => words[Math.floor(random() * words.length)];
  const concepts = shuffle(vocabulary.concepts, random).slice(0, count);
  return concepts.map((concept, i) => {
    // In turn: a colour, a style, a backdrop, so that a handful of ideas shows all that can be said.
    const parts = [
      i % 3 === 0 && vocabulary.colours.length > 0
        ? `${pick(vocabulary.colours)} ${concept}`
        : concept,
    ];
    if (i % 3 === 1 && vocabulary.styles.length > 0) parts.push(`${pick(vocabulary.styles)} style`);
    if (i % 3 !== 1 && vocabulary.backdrops.length > 0) {
      parts.push(backdrop(pick(vocabulary.backdrops), vocabulary.colours, pick));
    }
    return parts.join(', ');
  });
}

function backdrop(kind, colours, pick) {
  if (colours.length < 2) return `${kind} background`;
  const colour = pick(colours);
  const other = pick(colours.filter((word) => word !== colour));
  const phrases = {
    plain: `${colour} background`,
    gradient: `${colour} to ${other} gradient background`,
    soft: `soft ${colour} background`,
  };
  return phrases[kind] ?? `${kind} background`;
}

function shuffle(words, random) {
  const shuffled = [...words];
  for (let i = shuffled.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
  }
  return shuffled;
}
