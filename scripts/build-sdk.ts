/**
 * `npm run build:sdk`: the SDK as a package of its own in `dist/sdk/`, ready for `npm publish` or `npm pack`.
 *
 * ESM by esbuild, declarations by tsc, the wire's types from the schemas, a package.json without a dependency.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { ROOT } from './node-runtime.js';
import { describeWireTypes } from './sdk/wire-types.ts';

const SOURCES = path.join(ROOT, 'shared/client');
/** Entry points: what may stand behind `pixart-edge` in an import. */
const ENTRIES = ['index', 'react', 'element', 'signing'] as const;

/** @param folder  where the package goes; what is there is replaced */
export async function buildSdk(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await Promise.all([writeModules(folder), writeTypes(path.join(folder, 'types'))]);
  await writeFile(
    path.join(folder, 'package.json'),
    `${JSON.stringify(await describe(), null, 2)}\n`,
  );
  await cp(path.join(ROOT, 'docs/sdk.md'), path.join(folder, 'README.md'));
  await cp(path.join(ROOT, 'LICENSE'), path.join(folder, 'LICENSE'));
}

async function writeModules(folder: string): Promise<void> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ENTRIES.map((name) => path.join(SOURCES, `${name}.ts`)),
    outdir: folder,
    bundle: true,
    // One copy of the core, whichever entry points a page loads.
    splitting: true,
    chunkNames: 'chunk-[hash]',
    format: 'esm',
    target: 'es2022',
    minify: true,
    sourcemap: 'linked',
    external: ['react'],
    metafile: true,
    logLevel: 'silent',
  });
  const strangers = Object.keys(metafile.inputs).filter((file) => !file.startsWith('shared/'));
  if (strangers.length > 0) throw new Error(`the SDK would contain ${strangers.join(', ')}`);
}

async function writeTypes(folder: string): Promise<void> {
  const all = await mkdtemp(path.join(tmpdir(), 'pixart-edge-types-'));
  try {
    await promisify(execFile)(process.execPath, [
      path.join(ROOT, 'node_modules/typescript/bin/tsc'),
      ...['-p', SOURCES, '--noEmit', 'false', '--declaration', '--emitDeclarationOnly'],
      ...['--rootDir', path.join(ROOT, 'shared'), '--outDir', all],
    ]);
    const names = (await readdir(path.join(all, 'client'))).filter((name) =>
      name.endsWith('.d.ts'),
    );
    await mkdir(folder);
    for (const name of names) {
      const text =
        name === 'types.d.ts'
          ? describeWireTypes()
          : await readFile(path.join(all, 'client', name), 'utf8');
      const outside = /from '\.\.\/[^']+'/.exec(text);
      if (outside !== null) throw new Error(`${name} would import ${outside[0]}`);
      await writeFile(path.join(folder, name), text.replace(/(from '\.\/[^']+)\.ts'/g, "$1.js'"));
    }
  } finally {
    await rm(all, { recursive: true, force: true });
  }
}

async function describe(): Promise<object> {
  const { name, version, license, description } = JSON.parse(
    await readFile(path.join(ROOT, 'package.json'), 'utf8'),
  ) as Record<string, string>;
  const entry = (file: string) => ({ types: `./types/${file}.d.ts`, default: `./${file}.js` });
  return {
    name,
    version,
    description: `Client of pixart-edge. ${description}`,
    license,
    type: 'module',
    sideEffects: ['./element.js'],
    exports: {
      '.': entry('index'),
      './react': entry('react'),
      './element': entry('element'),
      './signing': entry('signing'),
      './package.json': './package.json',
    },
    peerDependencies: { react: '>=18' },
    peerDependenciesMeta: { react: { optional: true } },
  };
}

if (import.meta.main) {
  const folder = path.join(ROOT, 'dist/sdk');
  await buildSdk(folder);
  console.log(path.relative(process.cwd(), folder));
}
