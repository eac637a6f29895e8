/** The Worker alone, as its image runs it, in front of a function that is not its child. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startFunction } from '../helpers/gpu-function.ts';
import { makePng } from '../helpers/picture.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/serve-edge.ts', import.meta.url));
const KEY = 'test:a-secret-of-many-characters';

let folder: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'serve-edge-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  await rm(folder, { recursive: true, force: true });
});

function start(env: Record<string, string>, args: string[] = []) {
  const child = spawn(process.execPath, [SCRIPT, ...args], {
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', LOCAL_DIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let text = '';
  child.stdout?.on('data', (chunk) => (text += chunk));
  child.stderr?.on('data', (chunk) => (text += chunk));
  return { child, output: () => text };
}

async function freePort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

describe('serve-edge.ts', () => {
  it('serves what the function has loaded, signed, under a key that it makes', {
    timeout: 180_000,
  }, async () => {
    await using fn = await startFunction({ env: { GPU_SIGNING_KEY: KEY } });
    fn.engine.automatic = true;
    fn.engine.automaticPicture = new Uint8Array(makePng(64, 64, 0xff0000));
    const PORT = await freePort();
    const { child, output } = start({ GPU_URL: `${fn.origin}/`, GPU_SIGNING_KEY: KEY, PORT });
    await expect.poll(output, { timeout: 120_000 }).toContain('pixart-edge serves test/controlled');
    const key = (await readFile(join(folder, 'api-key'), 'utf8')).trim();
    const response = await fetch(`http://127.0.0.1:${PORT}/v1/images/generations`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
      body: JSON.stringify({ prompt: 'a cat' }),
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ data: [{ b64_json: expect.any(String) }] });
    const probe = start({ PORT }, ['--probe']);
    expect((await once(probe.child, 'exit'))[0]).toBe(0);
    child.kill('SIGTERM');
    expect((await once(child, 'exit'))[0]).toBe(0);
  });

  it('says which settings it needs', async () => {
    const { child, output } = start({ PORT: '70000' });
    expect((await once(child, 'close'))[0]).toBe(1);
    expect(output()).toContain('GPU_URL must be the base URL of the function');
    expect(output()).toContain('PORT');
  });

  it('probes with 1 where nobody answers', async () => {
    const { child } = start({ PORT: await freePort() }, ['--probe']);
    expect((await once(child, 'exit'))[0]).toBe(1);
  });
});
