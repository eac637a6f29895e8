/** English articles and plurals of the concepts' names; exceptions are written in the concept list. */

export interface Noun {
  readonly name: string;
  readonly plural?: string;
  readonly article?: 'a' | 'an' | '';
}

/** Names that take no article: plural in form, or of a substance. */
const BARE =
  /(^|\s)(sunglasses|glasses|shades|scissors|dice|popcorn|sushi|gelato|sunshine|broccoli)$/;

/** `an` before a vowel sound; the few names whose spelling misleads are listed. */
export function articleOf({ name, article }: Noun): 'a' | 'an' | '' {
  if (article !== undefined) return article;
  if (BARE.test(name) && !/^(pair|bucket|box|piece|head) of /.test(name)) return '';
  if (/^(uni|eu|one|use|ufo)/.test(name)) return 'a';
  return /^[aeiou]/.test(name) ? 'an' : 'a';
}

/** Regular English plural of the last word, unless the concept states its own. */
export function pluralOf({ name, plural }: Noun): string {
  if (plural !== undefined) return plural;
  if (/(s|x|z|ch|sh)$/.test(name)) return `${name}es`;
  if (/[^aeiou]y$/.test(name)) return `${name.slice(0, -1)}ies`;
  if (/[^aeiou]o$/.test(name)) return `${name}es`;
  return `${name}s`;
}
