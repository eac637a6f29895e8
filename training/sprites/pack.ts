/**
 * The files this stage leaves behind.
 *
 * | file | holds |
 * | --- | --- |
 * | sprites.pack | lossless WebP files one after another, found by `offset` and `length` |
 * | concepts.json | the catalogue: palette, styles, concepts, their names and their sprites' facts |
 * | words.json | common words and how often they are used, for the tokenizer |
 * | ATTRIBUTION.md | whose drawings these are and under which licence |
 * | SHA256SUMS | digests of the four, as `sha256sum --check` reads them |
 */
import { createHash } from 'node:crypto';
import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Oklab } from './colour.ts';
import type { Concept } from './concepts.ts';
import { SpriteError } from './errors.ts';
import type { AcceptedPackage } from './licences.ts';
import { articleOf, pluralOf } from './names.ts';
import { OBJECT_SIDE, SPRITE_SIDE, type Sprite } from './render.ts';
import type { Style } from './sources.ts';

export const CATALOGUE_FORMAT = 1;
/** A sprite may be recoloured when at least this much of it has the dominant hue. */
export const RECOLOUR_SHARE_MIN = 0.45;

/** A sprite without a dominant hue may be tinted when at least this much of it is white or gray. */
export const TINT_SHARE_MIN = 0.5;

export interface DrawnSprite {
  readonly style: Style;
  readonly accepted: AcceptedPackage;
  readonly sprite: Sprite;
}

export interface DrawnConcept {
  readonly concept: Concept;
  readonly sprites: readonly DrawnSprite[];
}

export interface PackFiles {
  readonly 'sprites.pack': Buffer;
  readonly 'concepts.json': Buffer;
  readonly 'words.json': Buffer;
  readonly 'ATTRIBUTION.md': Buffer;
}

export const slug = (name: string): string => name.replaceAll(' ', '-');

const lab = ({ L, a, b }: Oklab): number[] => [fixed(L), fixed(a), fixed(b)];
const fixed = (value: number): number => Math.round(value * 1e4) / 1e4;

export function buildPack(
  drawn: readonly DrawnConcept[],
  palette: Readonly<Record<string, string>>,
  words: ReadonlyMap<string, number>,
): PackFiles {
  const chunks: Buffer[] = [];
  let offset = 0;
  const place = (webp: Buffer) => {
    const range = { offset, length: webp.length };
    chunks.push(webp);
    offset += webp.length;
    return range;
  };
  const concepts = drawn.map(({ concept, sprites }) => ({
    id: slug(concept.name),
    name: concept.name,
    article: articleOf(concept),
    plural: pluralOf(concept),
    synonyms: concept.synonyms.map((name) => ({ name, article: articleOf({ name }) })),
    group: concept.group,
    emoji: concept.emoji,
    frequent: concept.frequent,
    sprites: sprites.map(({ style, accepted, sprite }) => ({
      style,
      set: accepted.name,
      ...place(sprite.webp),
      hue: sprite.colour.hue === null ? null : fixed(sprite.colour.hue),
      hueShare: fixed(sprite.colour.hueShare),
      ...recolouring(concept, sprite),
      rim: lab(sprite.colour.rim),
      natural: sprite.colour.natural,
      coverage: fixed(sprite.coverage),
      circle: sprite.circle,
      extent: [sprite.extent.width, sprite.extent.height],
    })),
  }));
  const catalogue = {
    format: CATALOGUE_FORMAT,
    side: SPRITE_SIDE,
    objectSide: OBJECT_SIDE,
    palette,
    styles: [...new Set(drawn.flatMap(({ sprites }) => sprites.map(({ style }) => style)))],
    sets: acceptedSets(drawn).map(({ name, version, license, sha256 }) => ({
      name,
      version,
      license,
      licenceSha256: sha256,
    })),
    concepts,
  };
  return {
    'sprites.pack': Buffer.concat(chunks),
    'concepts.json': toJson(catalogue),
    'words.json': toJson(Object.fromEntries(words)),
    'ATTRIBUTION.md': Buffer.from(attribution(acceptedSets(drawn))),
  };
}

/** How a sprite may take another colour: by its dominant hue, by a tint on its white and gray, or not at all. */
export function recolouring(
  concept: Concept,
  { colour }: Pick<Sprite, 'colour'>,
): { recolour: 'hue' | 'tint' | null; main: number[] } {
  if (!concept.fixedColour && colour.hue !== null && colour.hueShare > RECOLOUR_SHARE_MIN) {
    return { recolour: 'hue', main: lab(colour.main) };
  }
  if (!concept.fixedColour && colour.grayShare > TINT_SHARE_MIN) {
    return { recolour: 'tint', main: lab(colour.grayMain) };
  }
  return { recolour: null, main: lab(colour.main) };
}

/**
 * Makes the folder when it is missing, so that one that cannot be written to is refused before anything is rendered.
 *
 * @throws {SpriteError} `output`
 */
export function assertWritable(out: string): void {
  try {
    mkdirSync(out, { recursive: true });
    accessSync(out, constants.W_OK);
  } catch (cause) {
    throw new SpriteError('output', `${out} cannot be written to: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** Writes the files and their digests; `out` is made when missing. */
export function writePack(out: string, files: PackFiles): void {
  mkdirSync(out, { recursive: true });
  const sums: string[] = [];
  for (const [name, bytes] of Object.entries(files) as [string, Buffer][]) {
    writeFileSync(join(out, name), bytes);
    sums.push(`${createHash('sha256').update(bytes).digest('hex')}  ${name}`);
  }
  writeFileSync(join(out, 'SHA256SUMS'), `${sums.sort().join('\n')}\n`);
}

const toJson = (value: unknown): Buffer => Buffer.from(`${JSON.stringify(value, null, 1)}\n`);

function acceptedSets(drawn: readonly DrawnConcept[]): readonly AcceptedPackage[] {
  return [...new Set(drawn.flatMap(({ sprites }) => sprites.map(({ accepted }) => accepted)))];
}

function attribution(sets: readonly AcceptedPackage[]): string {
  const rows = sets.map(
    ({ name, version, license, author, url }) =>
      `| ${name} ${version} | ${author} | ${license} | ${url} |`,
  );
  return [
    '# Drawings',
    '',
    'The sprites are renderings of these openly licensed sets, scaled and in part recoloured.',
    '',
    '| package | author | licence | source |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    ...sets.map(
      ({ name, copyright, license }) => `- ${name}: ${copyright} Licensed under ${license}.`,
    ),
    '',
    'Apache-2.0: <https://www.apache.org/licenses/LICENSE-2.0>',
    '',
    'MIT:',
    '',
    ...MIT_TEXT.split('\n').map((line) => (line === '' ? '>' : `> ${line}`)),
    '',
  ].join('\n');
}

const MIT_TEXT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;
