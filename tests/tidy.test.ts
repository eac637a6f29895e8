/** Properties of the repository itself. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '#shared/errors.ts';
import { CONFIGURATION_FILE, describeConfiguration } from '../scripts/configuration.ts';
import { findLockfileHoles } from '../scripts/lockfile-holes.js';
import { ROOT } from '../scripts/node-runtime.js';

const TREE_BYTES_MAX = 60 * 1024 * 1024;
const FILE_BYTES_MAX = 15 * 1024 * 1024;

/** Paths of the tracked files that are there, from the root. */
const files = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' })
  .split('\0')
  .filter((file) => file !== '' && existsSync(path.join(ROOT, file)));
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const isText = (file: string) =>
  /\.(ts|js|json|jsonc|md|py|toml|yaml|yml|html|css|svg|sh|txt)$|^\.ci\/run$|Dockerfile$/.test(
    file,
  );
const texts = files.filter(isText);
const sources = files.filter((file) => /^(shared|edge|gpu-fn|scripts)\/.*\.(ts|js)$/.test(file));

describe('the tree', () => {
  it('is small enough to travel', () => {
    const sizes = files.map((file) => [file, statSync(path.join(ROOT, file)).size] as const);
    expect(sizes.filter(([, bytes]) => bytes > FILE_BYTES_MAX)).toEqual([]);
    expect(sizes.reduce((sum, [, bytes]) => sum + bytes, 0)).toBeLessThanOrEqual(TREE_BYTES_MAX);
  });

  it('has a lockfile without holes', () => {
    const locks = files.filter((file) => path.basename(file) === 'package-lock.json');
    expect(locks).toContain('package-lock.json');
    for (const lock of locks) expect(findLockfileHoles(JSON.parse(read(lock)))).toEqual([]);
  });

  it('names no place outside itself: no folder of one machine, no host of a registry', () => {
    // Put together from pieces, so that this file does not hold what it looks for.
    const patterns = [
      ['registry', 'npmjs'].join('\\.'),
      ['pypi', 'org'].join('\\.'),
      ['deb', 'debian', 'org'].join('\\.'),
      ['/home', '[a-z]+/'].join('/'),
      ['(?<![\\w.])/wor', 'k/'].join(''),
      ['/roo', 't/'].join(''),
    ];
    const pattern = new RegExp(patterns.join('|'));
    expect(findLines(texts, pattern)).toEqual([]);
  });

  it('leaves nothing unfinished behind', () => {
    const pattern = new RegExp(`\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')})\\b`);
    expect(findLines(texts, pattern)).toEqual([]);
  });

  it('leaves no test out', () => {
    const tests = files.filter((file) => /^tests\/.*\.test\.ts$/.test(file));
    expect(findLines(tests, /\b(it|test|describe)\.(skip|only|todo|fails)\b/)).toEqual([]);
  });
});

describe('a source', () => {
  it('is imported by another file, started by a command, or named in a configuration', () => {
    const imported = new Set(
      files.filter((file) => /\.(ts|js|html)$/.test(file)).flatMap(importsOf),
    );
    const commands = [
      read('package.json'),
      read('wrangler.toml'),
      read('.ci/run'),
      ...docs().map(read),
    ].join('\n');
    const unused = sources.filter(
      (file) =>
        !imported.has(file) &&
        !commands.includes(file) &&
        !file.endsWith('.d.ts') &&
        !isStarted(file),
    );
    expect(unused).toEqual([]);
  });

  it('is reached by a test', () => {
    const reached = new Set<string>();
    const queue = files.filter((file) => /^(tests|bench)\/.*\.ts$/.test(file));
    for (const file of queue) {
      for (const next of [...importsOf(file), ...pathsIn(file)]) {
        if (!reached.has(next)) {
          reached.add(next);
          queue.push(next);
        }
      }
    }
    // The page's scripts are loaded by Chromium; the README's pictures are looked at.
    const isSeen = (file: string) =>
      file.startsWith('edge/public/') || file === 'scripts/readme-pictures.ts';
    const missed = sources.filter((file) => !reached.has(file) && !isSeen(file));
    expect(missed).toEqual([]);
  });
});

describe('the documents', () => {
  it('describe every error code', () => {
    const api = read('docs/api.md');
    const missing = Object.keys(ERRORS).filter((code) => !api.includes(`\`${code}\``));
    expect(missing).toEqual([]);
  });

  it('describe every setting as the schemas have it', () => {
    expect(readFileSync(CONFIGURATION_FILE, 'utf8')).toBe(describeConfiguration());
  });

  it('have no link that leads nowhere', () => {
    const broken = docs().flatMap((file) =>
      linksOf(file)
        .filter((target) => !existsSync(path.join(ROOT, path.dirname(file), target)))
        .map((target) => `${file}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it('name only commands that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const unknown = docs().flatMap((file) =>
      [...read(file).matchAll(/\bnpm run ([a-z:-]+)/g)]
        .map(([, name = '']) => name)
        .filter((name) => !Object.hasOwn(scripts, name))
        .map((name) => `${file}: npm run ${name}`),
    );
    expect(unknown).toEqual([]);
  });

  it('name only files that exist in the map of the tree', () => {
    const map =
      /## Where things are\n\n```text\n([\s\S]*?)```/.exec(read('ARCHITECTURE.md'))?.[1] ?? '';
    const named = namesInMap(map);
    expect(named).toContain('edge/app.ts');
    expect(named.filter((name) => !existsSync(path.join(ROOT, name)))).toEqual([]);
  });
});

function docs(): string[] {
  return files.filter((file) => file.endsWith('.md'));
}

/** `file:line: text` of every line that matches. */
function findLines(among: readonly string[], pattern: RegExp): string[] {
  return among.flatMap((file) =>
    read(file)
      .split('\n')
      .flatMap((line, i) =>
        pattern.test(line) ? [`${file}:${i + 1}: ${line.trim().slice(0, 120)}`] : [],
      ),
  );
}

/** Files that a module imports, statically or not, and that a page loads. */
function importsOf(file: string): string[] {
  const text = read(file);
  const specifiers = [
    ...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g),
    ...text.matchAll(/(?:src|href)="\/([^"]+)"/g),
  ].map(([, specifier = '']) => specifier);
  return specifiers
    .map((specifier) => {
      if (specifier.startsWith('#shared/')) return specifier.slice(1);
      if (specifier.startsWith('.')) return path.posix.join(path.posix.dirname(file), specifier);
      if (file.endsWith('.html')) return path.posix.join(path.posix.dirname(file), specifier);
      return '';
    })
    .filter((target) => target !== '');
}

/** Files that are started as processes or threads: named by a path in a string. */
function pathsIn(file: string): string[] {
  const quoted = [...read(file).matchAll(/'([\w./-]+\.(?:ts|js))'/g)].map(([, name = '']) => name);
  return quoted
    .flatMap((name) => [name, path.posix.join(path.posix.dirname(file), name)])
    .filter((name) => sources.includes(name));
}

/** Paths of a drawn tree: two blanks deeper is inside; a line may name several. */
function namesInMap(map: string): string[] {
  const parents: string[] = [];
  return map.split('\n').flatMap((line) => {
    const names = /^( *)((?:[\w.-]+\/? )*[\w.-]+\/?)(?: {2,}|$)/.exec(line);
    if (names === null) return [];
    const depth = (names[1] ?? '').length / 2;
    const found = (names[2] ?? '')
      .split(' ')
      .map((name) => [...parents.slice(0, depth), name].join('/').replaceAll('//', '/'));
    parents[depth] = (names[2] ?? '').split(' ')[0] ?? '';
    return found;
  });
}

function isStarted(file: string): boolean {
  return files.some(
    (other) => other !== file && /\.(ts|js)$/.test(other) && pathsIn(other).includes(file),
  );
}

/** Relative targets of Markdown links and pictures, without their fragments. */
function linksOf(file: string): string[] {
  const prose = read(file)
    .replace(/```[\s\S]*?```/g, '')
    .replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)[^)]*\)|\b(?:src|href)="([^"]+)"/g)]
    .map(([, link, attribute]) => (link ?? attribute ?? '').replace(/#.*$/, ''))
    .filter((target) => target !== '' && !/^[a-z][a-z0-9+.-]*:/.test(target));
}
