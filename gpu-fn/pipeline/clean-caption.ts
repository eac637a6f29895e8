/**
 * Caption cleaning: what the captions of the training set went through, so that prompts look like them.
 *
 * The rules are those of the reference, in its order, and it applies them twice. Each takes time linear in the length
 * of the text: where the reference's expressions go back and forth, words are cut out first and looked at one by one.
 * Not carried over: ftfy's repair of text that was decoded with a wrong character set, and entities beyond the named
 * ones below.
 *
 * @see diffusers pipelines/pixart_alpha, _clean_caption
 */

/** @returns lower-cased, cleaned and stripped; may be empty */
export function cleanCaption(text: string): string {
  return cleanOnce(cleanOnce(text)).trim();
}

type Rule = (text: string) => string;

/** One application of all rules. */
export function cleanOnce(text: string): string {
  return RULES.reduce((cleaned, rule) => rule(cleaned), text);
}

function remove(pattern: RegExp): Rule {
  return (text) => text.replace(pattern, '');
}

function blank(pattern: RegExp): Rule {
  return (text) => text.replace(pattern, ' ');
}

function swap(pattern: RegExp, replacement: string): Rule {
  return (text) => text.replace(pattern, replacement);
}

/** Whole words of letters, digits and underscores; `\b` on both sides of Python's expressions means just these. */
function words(pattern: RegExp, replacement = ''): Rule {
  return (text) =>
    text.replace(/[\p{L}\p{N}_]+/gu, (word) => (pattern.test(word) ? replacement : word));
}

const EXTENSIONS = 'png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4';
const HYPHENS_MAX = 3;

const RULES: readonly Rule[] = [
  (text) => decodePercent(text).trim().toLowerCase(),
  swap(/<person>/g, 'person'),
  (text) => removeUrls(text, /\bhttps?:(?:\/{1,3}|[a-z0-9%])/g),
  (text) => removeUrls(text, /\bwww:(?:\/{1,3}|[a-z0-9%])/g),
  (text) => decodeEntities(text.replace(/<(?:[a-z/!?][^<>]*)>/g, '')),
  remove(/@[\p{L}\p{N}_]+/gu),
  // CJK strokes, phonetic extensions, enclosed forms, compatibility, extension A, hexagrams, unified ideographs
  remove(/[\u31c0-\u31ef\u31f0-\u31ff\u3200-\u33ff\u3400-\u4dbf\u4dc0-\u9fff]+/g),
  swap(
    /[\u002d\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d]+/g,
    '-',
  ),
  swap(/[`´«»“”¨]/g, '"'),
  swap(/[‘’]/g, "'"),
  remove(/&quot;?/g),
  remove(/&amp/g),
  blank(/\p{Nd}{1,3}\.\p{Nd}{1,3}\.\p{Nd}{1,3}\.\p{Nd}{1,3}/gu),
  remove(/\p{Nd}:\p{Nd}\p{Nd}\s+$/u),
  blank(/\\n/g),
  remove(/#\p{Nd}{1,3}(?![\p{L}\p{N}_])/gu),
  remove(/#\p{Nd}{5,}(?![\p{L}\p{N}_])/gu),
  words(/^\p{Nd}{6,}$/u),
  removeFileNames,
  swap(/["']{2,}/g, '"'),
  blank(/\.{2,}/g),
  blank(/[#®•©™&@·º½¾¿¡§~)(\][}{|\\/*]+/g),
  blank(/(?<!\s)\s+\.\s+/g),
  (text) => ((text.match(/[-_]/g)?.length ?? 0) > HYPHENS_MAX ? text.replace(/[-_]/g, ' ') : text),
  fixText,
  (text) => decodeEntities(decodeEntities(text)).trim(),
  words(/^[a-zA-Z]{1,3}\p{Nd}{3,15}$/u),
  words(/^[a-zA-Z]+\p{Nd}+[a-zA-Z]+$/u),
  words(/^\p{Nd}+[a-zA-Z]+\p{Nd}+$/u),
  remove(/(?:worldwide\s+)?(?:free\s+)?shipping/g),
  remove(/(?:free\s)?download(?:\sfree)?/g),
  remove(/(?<![\p{L}\p{N}_])click\s(?:for|on)\s[\p{L}\p{N}_]+/gu),
  remove(new RegExp(`(?<![\\p{L}\\p{N}_])(?:${EXTENSIONS})(?:\\simages?)?`, 'gu')),
  remove(/(?<![\p{L}\p{N}_])page\s+\p{Nd}+(?![\p{L}\p{N}_])/gu),
  words(/^\p{Nd}*[a-zA-Z]+\p{Nd}+[a-zA-Z]+\p{Nd}[a-zA-Z\p{Nd}]*$/u, ' '),
  remove(/(?<![\p{L}\p{N}_])\p{Nd}+(?:\.\p{Nd}+)?[xх×]\p{Nd}+(?:\.\p{Nd}+)?(?![\p{L}\p{N}_])/gu),
  swap(/(?<=[\p{L}\p{N}_])\s+:\s+/gu, ': '),
  swap(/(\P{Nd}[,./])(?=[\p{L}\p{N}_])/gu, '$1 '),
  blank(/\s+/g),
  swap(/^["']([\s\S]+)["']$/, '$1'),
  remove(/^['_,\-:;]/),
  remove(/['_,\-:+]$/),
  remove(/^\.\S+$/),
  (text) => text.trim(),
];

/** `%41+b` → `A b`; sequences that are no UTF-8 become U+FFFD, half a sequence stays as it is. */
function decodePercent(text: string): string {
  return text
    .replaceAll('+', ' ')
    .replace(/(?:%[0-9a-f]{2})+/gi, (run) =>
      Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'),
    );
}

/** After a dot, the domain names that the reference looks for. */
const DOMAIN = /^\.(?:com|co|ru|net|org|edu|gov|it)/;

/** Schemes, then host names with their paths: letters, digits, dots and hyphens up to a dot and a known domain. */
function removeUrls(text: string, scheme: RegExp): string {
  const bare = text.replace(scheme, '');
  let kept = '';
  let from = 0;
  for (const { 0: run, index } of bare.matchAll(/[a-z0-9.-]+/g)) {
    if (index < from) continue;
    const end = endOfUrl(bare, run, index);
    if (end === undefined) continue;
    kept += bare.slice(from, end.start);
    from = end.end;
  }
  return kept + bare.slice(from);
}

function endOfUrl(
  text: string,
  run: string,
  index: number,
): { start: number; end: number } | undefined {
  // A name starts where a word starts.
  let start = index;
  if (/[\p{L}\p{N}_]$/u.test(text.slice(Math.max(index - 2, 0), index))) {
    start += /^[a-z0-9]*/.exec(run)![0].length;
  }
  while (start < index + run.length && !/[a-z0-9]/.test(text[start]!)) start += 1;
  let dot = run.lastIndexOf('.');
  while (dot >= 0 && !DOMAIN.test(run.slice(dot, dot + 4))) {
    dot = dot === 0 ? -1 : run.lastIndexOf('.', dot - 1);
  }
  if (dot < 0 || index + dot <= start) return undefined;
  PATH.lastIndex = index + dot + 1;
  const path = PATH.exec(text)?.[0].replace(/[/-]+$/, '') ?? '';
  let end = index + dot + 1 + path.length;
  if (text[end] === '/') end += 1;
  return text[end] === '@' ? undefined : { start, end };
}

const PATH = /[\p{L}\p{N}_/-]+/uy;

/** Everything of a word up to its last file extension. */
function removeFileNames(text: string): string {
  const extension = new RegExp(`\\.(?:${EXTENSIONS})`, 'g');
  return text.replace(/\S+/g, (word) => {
    let end = 0;
    for (const { 0: found, index } of word.matchAll(extension)) {
      if (index > 0) end = index + found.length;
    }
    return word.slice(end);
  });
}

/** Ligatures, full-width and half-width forms. */
const COMPATIBLE = /[\ufb00-\ufb06\uff01-\uffdc\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3]/g;

/** The part of ftfy that ordinary text meets: plain quotes, forms and line breaks, no control characters, NFC. */
function fixText(text: string): string {
  return text
    .replace(/[\u2018-\u201b]/g, "'")
    .replace(/[\u201c-\u201f]/g, '"')
    .replace(COMPATIBLE, (form) => form.normalize('NFKC'))
    .replace(/\r\n?|[\u2028\u2029\u0085]/g, '\n')
    .replace(CONTROLS, '')
    .normalize('NFC');
}

/** C0 and C1 but tab and line feed; bidirectional marks; deprecated format characters; the byte order mark. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is to be removed
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u206a-\u206f\ufeff\ufff9-\ufffc]/g;

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: '\u00a0',
  copy: '©',
  reg: '®',
  trade: '™',
  hellip: '…',
  mdash: '—',
  ndash: '–',
  lsquo: '‘',
  rsquo: '’',
  ldquo: '“',
  rdquo: '”',
  laquo: '«',
  raquo: '»',
  bull: '•',
  middot: '·',
  deg: '°',
  times: '×',
  euro: '€',
  pound: '£',
  yen: '¥',
  eacute: 'é',
  egrave: 'è',
  agrave: 'à',
  ccedil: 'ç',
  auml: 'ä',
  ouml: 'ö',
  uuml: 'ü',
  szlig: 'ß',
  ntilde: 'ñ',
};
const CODE_POINT_MAX = 0x10ffff;

function decodeEntities(text: string): string {
  return text.replace(
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,6}));/gi,
    (whole, decimal, hex, name) => {
      if (name !== undefined) return ENTITIES[name] ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
      const isCharacter = code > 0 && code <= CODE_POINT_MAX && !(code >= 0xd800 && code <= 0xdfff);
      return isCharacter ? String.fromCodePoint(code) : '\ufffd';
    },
  );
}
