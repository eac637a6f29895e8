/** The programs of `examples/`, run as their first lines say. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../scripts/node-runtime.js';
import { type Service, startService } from '../helpers/service.ts';

let service: Service;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'pixart-edge-examples-'));
  service = await startService();
}, 240_000);

afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function run(program: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...process.env, ORIGIN: service.url, API_KEY: service.key, MODEL: 'pixart-edge/tiny' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(input);
  return text(child.stdout);
}

const example = (name: string) => path.join(ROOT, 'examples', name);
const isPng = (file: string) =>
  readFileSync(path.join(folder, file)).toString('hex', 0, 8) === '89504e470d0a1a0a';

describe('examples', () => {
  it('curl.sh saves a picture', async () => {
    const output = await run('sh', [example('curl.sh'), 'a red apple', 'apple.png']);
    expect(output).toBe('apple.png\n');
    expect(isPng('apple.png')).toBe(true);
  });

  it('openai-client.ts saves a picture', async () => {
    const output = await run(process.execPath, [example('openai-client.ts'), 'a cat', 'cat.png']);
    expect(output).toBe('cat.png\n');
    expect(isPng('cat.png')).toBe(true);
  });

  it('sdk.ts tells the steps and saves a picture', async () => {
    const output = await run(process.execPath, [example('sdk.ts'), 'a red cat', 'red-cat.png']);
    const lines = output.trim().split('\n');
    expect(lines[0]).toMatch(/^step \d of 4$/);
    expect(lines.at(-1)).toMatch(/^red-cat\.png\tseed \d+\tmiss\thttp:/);
    expect(isPng('red-cat.png')).toBe(true);
  });

  it('sdk.ts says what is wrong with a prompt', async () => {
    const child = spawn(process.execPath, [example('sdk.ts'), ' ', 'nothing.png'], {
      cwd: folder,
      env: { ...process.env, ORIGIN: service.url, API_KEY: service.key },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    expect(await text(child.stderr)).toMatch(/^prompt_empty: /);
  });

  it('ai-sdk.ts saves two pictures', async () => {
    const output = await run(process.execPath, [example('ai-sdk.ts'), 'a green cat', 'green']);
    expect(output).toBe('green-0.png\ngreen-1.png\n');
    expect(isPng('green-1.png')).toBe(true);
  });

  it.each(['replicate-client.ts', 'fal-client.ts'])('%s saves a picture', async (name) => {
    const file = `${name}.png`;
    const output = await run(process.execPath, [example(name), 'a red dog', file]);
    expect(output.trim().split('\n').at(-1)).toBe(file);
    expect(isPng(file)).toBe(true);
  });

  it('stream.ts saves previews and the picture', async () => {
    const output = await run(process.execPath, [example('stream.ts'), 'a blue dog', 'dog']);
    const files = output.trim().split('\n');
    expect(files.length).toBeGreaterThan(1);
    expect(files.at(-1)).toBe('dog-final.png');
    expect(isPng('dog-final.png')).toBe(true);
  });

  it('batch.ts saves a picture for each line', async () => {
    await run(process.execPath, [example('batch.ts'), 'batch'], 'a cat\na dog\na car\n');
    expect(readdirSync(path.join(folder, 'batch')).sort()).toEqual([
      '000.png',
      '001.png',
      '002.png',
    ]);
  });
});
