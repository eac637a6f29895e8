/** `npm run build:sdk`, and what its package is like for those who install it. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../scripts/node-runtime.js';
import { type RunningEdge, startEdge } from '../helpers/edge.ts';
import { type InstalledSdk, installSdk, run } from '../helpers/sdk-package.ts';

const CORE_GZIP_BYTES_MAX = 8 * 1024;

let sdk: InstalledSdk;
let edge: RunningEdge;

beforeAll(async () => {
  [sdk, edge] = await Promise.all([installSdk(), startEdge()]);
});

afterAll(async () => {
  await sdk?.[Symbol.asyncDispose]();
  await edge?.[Symbol.asyncDispose]();
});

const read = (file: string) => readFile(path.join(sdk.folder, file), 'utf8');

/** The module and all that it loads with it. */
async function load(file: string, seen = new Map<string, string>()): Promise<Map<string, string>> {
  if (seen.has(file)) return seen;
  const text = await read(file);
  seen.set(file, text);
  for (const [, next = ''] of text.matchAll(/from\s*"\.\/([^"]+)"/g)) await load(next, seen);
  return seen;
}

describe('the package', () => {
  it('holds code, declarations, README and licence, and needs no other package', async () => {
    const { files } = sdk;
    expect(files).toEqual(
      expect.arrayContaining([
        ...['LICENSE', 'README.md', 'package.json', 'index.js', 'react.js', 'element.js'],
        ...['types/index.d.ts', 'types/react.d.ts', 'types/element.d.ts'],
      ]),
    );
    const described = JSON.parse(await read('package.json'));
    expect(described).toMatchObject({ name: 'pixart-edge', type: 'module', license: 'Apache-2.0' });
    expect(described.dependencies).toBeUndefined();
    expect(await readdir(path.join(sdk.project, 'node_modules'))).not.toContain('react');
  });

  it('has a core of at most 8 KB gzipped', async () => {
    const modules = await load('index.js');
    const bytes = [...modules.values()].reduce((sum, text) => sum + gzipSync(text).length, 0);
    expect(bytes).toBeLessThanOrEqual(CORE_GZIP_BYTES_MAX);
    // And something is in it at all.
    expect(bytes).toBeGreaterThan(1024);
  });

  it('has one copy of the core, whichever entry points are loaded', async () => {
    const [core, element] = [await load('index.js'), await load('element.js')];
    expect([...element.keys()].filter((file) => core.has(file))).not.toEqual([]);
  });

  it('has declarations that a strict TypeScript program compiles with', async () => {
    await writeFile(
      path.join(sdk.project, 'program.ts'),
      `import { ApiError, PixartEdge, type GenerateRequest, type ErrorCode } from 'pixart-edge';
       import { useImage } from 'pixart-edge/react';
       import type { PixartImageElement } from 'pixart-edge/element';
       const client = new PixartEdge({ baseURL: 'https://a.test', apiKey: async () => 'token' });
       const request: GenerateRequest = { prompt: 'a cat', n: 2, size: '128x128', seed: null };
       // @ts-expect-error: a format that does not exist
       const wrong: GenerateRequest = { prompt: 'a cat', output_format: 'bmp' };
       export async function draw(element: PixartImageElement): Promise<string[]> {
         element.client = client;
         const { status }: { status: 'idle' | 'drawing' | 'done' | 'failed' } = useImage(client, request);
         for await (const event of client.stream(request)) {
           if (event.type === 'preview') console.log(event.step / event.steps, event.image.src, status);
           else console.log(event.seed.toFixed(), event.usage.total_tokens, wrong);
         }
         try {
           const { images, model } = await client.generate(request, { timeoutMs: 1000 });
           return [model, ...images.map((image) => image.src)];
         } catch (error) {
           const code: ErrorCode = 'rate_limited';
           if (error instanceof ApiError && error.code === code) return [error.message];
           throw error;
         }
       }`,
    );
    const flags = ['--strict', '--noEmit', '--exactOptionalPropertyTypes', '--types', ''];
    const modules = [
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--lib',
      'es2024,dom,dom.iterable',
    ];
    const work = run(
      process.execPath,
      [path.join(ROOT, 'node_modules/typescript/bin/tsc'), ...flags, ...modules, 'program.ts'],
      { cwd: sdk.project },
    ).catch((error: { stdout: string }) => error);
    expect((await work).stdout).toBe('');
  });

  it('draws in a Node program against the Worker', async () => {
    await writeFile(
      path.join(sdk.project, 'program.mjs'),
      `import { PixartEdge } from 'pixart-edge';
       const client = new PixartEdge({ baseURL: process.env.ORIGIN, apiKey: process.env.API_KEY });
         const [model] = await client.models();
         const { images } = await client.generate({ prompt: 'a cat', n: 2, seed: 5 });
         const types = [];
         for await (const { type } of client.stream({ prompt: 'a dog' })) types.push(type);
         const bytes = await images[0].bytes();
         console.log(JSON.stringify({ model: model.id, seeds: images.map(({ seed }) => seed), types, size: bytes.length }));`,
    );
    const { stdout } = await run(process.execPath, ['program.mjs'], {
      cwd: sdk.project,
      env: { ...process.env, ORIGIN: edge.url, API_KEY: edge.key },
    });
    expect(JSON.parse(stdout)).toEqual({
      model: 'pixart-edge/stickers-nano',
      seeds: [5, 6],
      types: ['image'],
      size: expect.any(Number),
    });
  });

  it('loads its element on a server, where there are no elements', async () => {
    const program = "await import('pixart-edge/element'); console.log('loaded')";
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], {
      cwd: sdk.project,
    });
    expect(stdout).toBe('loaded\n');
  });

  it('is bundled into a page by Vite', async () => {
    await writeFile(
      path.join(sdk.project, 'index.html'),
      '<!doctype html><title>A page</title><pixart-image></pixart-image><script type="module" src="/main.js"></script>',
    );
    await writeFile(
      path.join(sdk.project, 'main.js'),
      "import { PixartEdge } from 'pixart-edge'; import 'pixart-edge/element'; console.log(PixartEdge.name);",
    );
    await build({ root: sdk.project, logLevel: 'silent', configFile: false });
    const [script = ''] = (await readdir(path.join(sdk.project, 'dist/assets'))).filter((file) =>
      file.endsWith('.js'),
    );
    const text = await readFile(path.join(sdk.project, 'dist/assets', script), 'utf8');
    expect(text).toContain('pixart-image');
    expect(text).toContain('/v1/images/');
  });
});
