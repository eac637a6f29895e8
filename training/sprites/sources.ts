/**
 * Where the drawings come from: three installed packages, read from `node_modules`, one per style.
 *
 * Knows nothing about pixels; hands out the bytes of an SVG or WebP file for an emoji.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SpriteError } from './errors.ts';
import { type AcceptedPackage, assertAccepted, type PackageEvidence } from './licences.ts';

export type Style = '3d' | 'flat' | 'cartoon';

export interface DrawingSet {
  readonly style: Style;
  readonly accepted: AcceptedPackage;
  /** @throws {SpriteError} `missing_drawing` when the set does not draw this emoji */
  readonly read: (emoji: string) => Buffer;
}

/** Opens the three sets; refuses before any drawing is read when a licence is not the accepted one. */
export function openSets(modulesDir: string): readonly DrawingSet[] {
  const open = (style: Style, name: string, reader: (dir: string) => (emoji: string) => Buffer) => {
    const dir = join(modulesDir, ...name.split('/'));
    if (!existsSync(dir)) {
      throw new SpriteError(
        'usage',
        `${name} is not installed: run npm ci --prefix training/sprites`,
      );
    }
    const accepted = assertAccepted(readEvidence(dir));
    return { style, accepted, read: reader(dir) };
  };
  return [
    open('3d', '@lobehub/fluent-emoji-3d', readWebp),
    open('flat', '@iconify-json/fluent-emoji-flat', readIconify),
    open('cartoon', '@iconify-json/noto', readIconify),
  ];
}

/** Code points of an emoji in lower-case hexadecimal, as file names spell them. */
export const codePoints = (emoji: string): string =>
  [...emoji].map((character) => character.codePointAt(0)!.toString(16).padStart(4, '0')).join('-');

/** Spellings of the same emoji: sets disagree on the presentation selector U+FE0F. */
export function spellings(emoji: string): readonly string[] {
  const full = codePoints(emoji);
  const bare = full.replaceAll('-fe0f', '');
  return [...new Set([full, bare, `${bare}-fe0f`])];
}

function readEvidence(dir: string): PackageEvidence {
  const manifest = readJson(join(dir, 'package.json')) as {
    name: string;
    version: string;
    license: string;
  };
  const texts: string[] = [];
  for (const file of [
    'LICENSE',
    'LICENSE.md',
    'LICENSE.txt',
    'license.txt',
    'NOTICE',
    'README.md',
  ]) {
    const path = join(dir, file);
    if (existsSync(path)) texts.push(readFileSync(path, 'utf8'));
  }
  let { license } = manifest;
  const infoPath = join(dir, 'info.json');
  if (existsSync(infoPath)) {
    const info = readJson(infoPath) as { license: { spdx: string } };
    texts.push(JSON.stringify(info.license));
    license = info.license.spdx;
  }
  return { name: manifest.name, version: manifest.version, license, texts };
}

function readWebp(dir: string): (emoji: string) => Buffer {
  return (emoji) => {
    for (const spelling of spellings(emoji)) {
      const path = join(dir, 'assets', `${spelling}.webp`);
      if (existsSync(path)) return readFileSync(path);
    }
    throw new SpriteError('missing_drawing', `${dir} has no drawing of ${emoji}`);
  };
}

interface IconSet {
  readonly width: number;
  readonly height: number;
  readonly icons: Readonly<Record<string, { body: string; width?: number; height?: number }>>;
}

function readIconify(dir: string): (emoji: string) => Buffer {
  const names = readJson(join(dir, 'chars.json')) as Readonly<Record<string, string>>;
  const set = readJson(join(dir, 'icons.json')) as IconSet;
  return (emoji) => {
    const spelling = spellings(emoji).find((candidate) => names[candidate] !== undefined);
    const icon = spelling === undefined ? undefined : set.icons[names[spelling]!];
    if (icon === undefined) {
      throw new SpriteError('missing_drawing', `${dir} has no drawing of ${emoji}`);
    }
    const [width, height] = [icon.width ?? set.width, icon.height ?? set.height];
    return Buffer.from(
      `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="512" height="512" viewBox="0 0 ${width} ${height}">${icon.body}</svg>`,
    );
  };
}

const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
