/** `npm start` as a user has it: from the terminal to a picture, and every way it can end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ROOT } from '../../scripts/node-runtime.js';
import { listProcesses } from '../../scripts/start/processes.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { makeTinyBundle, type TinyBundle } from '../helpers/tiny-bundle.ts';
import { writeTinyCheckpoint } from '../helpers/tiny-checkpoint.ts';

const START_DEADLINE_MS = 110_000;

let folder: string;
let checkpoint: string;
let bundle: TinyBundle;
const started: ChildProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'pixart-edge-start-'));
  checkpoint = writeTinyCheckpoint(path.join(folder, 'tiny'));
  bundle = await makeTinyBundle();
}, 240_000);

afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  }
});

afterAll(async () => {
  await bundle?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface Started {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ready: Promise<void>;
}

/** Without npm in between by default: signals then reach what is tested. */
function start(
  env: Record<string, string>,
  command: readonly string[] = ['node', 'scripts/start.js'],
  { detached = false }: { detached?: boolean } = {},
): Started {
  const [program = '', ...args] = command;
  const { npm_lifecycle_event: _, ...inherited } = process.env;
  const child = spawn(program === 'node' ? process.execPath : program, args, {
    cwd: ROOT,
    env: {
      ...inherited,
      BUNDLE: bundle.folder,
      LOCAL_DIR: path.join(folder, 'local'),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached,
  });
  started.push(child);
  let output = '';
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ready:\n${output}`)), START_DEADLINE_MS);
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('Ctrl-C ends it.')) {
        clearTimeout(timer);
        resolve();
      }
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    child.on('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`ended with code ${code}:\n${output}`));
    });
  });
  ready.catch(() => undefined);
  return { child, output: () => output, ready };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
  return child.exitCode;
}

const isRefused = (url: string) =>
  fetch(`${url}/healthz`).then(
    () => false,
    () => true,
  );

/** Processes that `pid` has started, and theirs. */
function descendants(pid: number): number[] {
  const all = listProcesses();
  const found = [pid];
  for (const parent of found) {
    found.push(
      ...all.filter(({ parentPid }) => parentPid === parent).map(({ pid: child }) => child),
    );
  }
  return found.slice(1);
}

const isAlive = (pid: number) => listProcesses().some((info) => info.pid === pid);

describe('npm start', { timeout: 240_000 }, () => {
  it('prints a curl line that draws as printed, keeps its key to itself, and ends without a trace on Ctrl-C', async () => {
    const port = await findFreePort();
    const { child, output, ready } = start({
      PORT: String(port),
      BUNDLE: '',
      CHECKPOINT: checkpoint,
    });
    await ready;
    const line = /^ *(curl .*)$/m.exec(output())?.[1] ?? '';
    const curl = spawn('sh', ['-c', `${line} --silent --show-error`], { cwd: folder });
    const chunks: Buffer[] = [];
    curl.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    await once(curl, 'close');
    const { data } = JSON.parse(Buffer.concat(chunks).toString()) as { data: { url: string }[] };
    const picture = await fetch(data[0]!.url);
    expect(picture.headers.get('content-type')).toBe('image/png');

    const keyFile = path.join(folder, 'local/api-key');
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    const key = readFileSync(keyFile, 'utf8').trim();
    expect(output()).toContain(`http://127.0.0.1:${port}/#key=${key}`);
    for (const file of ['/', '/main.js', '/session.js']) {
      expect(await (await fetch(`http://127.0.0.1:${port}${file}`)).text()).not.toContain(key);
    }

    const children = descendants(child.pid!);
    expect(children.length).toBeGreaterThanOrEqual(2);
    expect(await end(child, 'SIGINT')).toBe(0);
    expect(children.filter(isAlive)).toEqual([]);
    expect(await isRefused(`http://127.0.0.1:${port}`)).toBe(true);
    expect(existsSync(path.join(folder, 'local/run.json'))).toBe(false);
  });

  it('finds pictures and key again at the next start, also after kill -9', async () => {
    const port = await findFreePort();
    const url = `http://127.0.0.1:${port}`;
    const draw = async () => {
      const key = readFileSync(path.join(folder, 'local/api-key'), 'utf8').trim();
      const response = await fetch(`${url}/v1/images/generations`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
        body: JSON.stringify({ prompt: 'a red apple', seed: 3 }),
      });
      return ((await response.json()) as { data: { cache: string; b64_json: string }[] }).data[0]!;
    };
    const first = start({ PORT: String(port) });
    await first.ready;
    const drawn = await draw();
    expect(drawn.cache).toBe('miss');
    const left = descendants(first.child.pid!);
    await end(first.child, 'SIGKILL');

    const second = start({ PORT: String(port) });
    await second.ready;
    expect(second.output()).toContain('left-over workerd');
    const again = await draw();
    expect(again.cache).toBe('hit');
    expect(again.b64_json).toBe(drawn.b64_json);
    await vi.waitFor(() => expect(left.filter(isAlive)).toEqual([]), { timeout: 10_000 });
    expect(await end(second.child, 'SIGTERM')).toBe(0);
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'ends with npm, whatever ended it: %s',
    async (signal) => {
      const port = await findFreePort();
      const { child, ready } = start({ PORT: String(port) }, ['npm', 'start']);
      await ready;
      const children = descendants(child.pid!);
      child.kill(signal);
      await vi.waitFor(() => expect(children.filter(isAlive)).toEqual([]), { timeout: 20_000 });
      expect(await isRefused(`http://127.0.0.1:${port}`)).toBe(true);
    },
  );

  it('ends on a Ctrl-C in the terminal, which reaches npm and all that it started', async () => {
    const port = await findFreePort();
    const { child, ready } = start({ PORT: String(port) }, ['npm', 'start'], { detached: true });
    await ready;
    const children = descendants(child.pid!);
    // A terminal sends to the foreground process group, not to one process.
    process.kill(-child.pid!, 'SIGINT');
    await vi.waitFor(() => expect(children.filter(isAlive)).toEqual([]), { timeout: 20_000 });
    expect(await isRefused(`http://127.0.0.1:${port}`)).toBe(true);
  });

  it('refuses to start twice from one folder, naming the one that runs', async () => {
    const port = await findFreePort();
    const first = start({ PORT: String(port) });
    await first.ready;
    const second = start({ PORT: '0' });
    await expect(second.ready).rejects.toThrow(
      `already runs from this folder: http://127.0.0.1:${port}`,
    );
    expect(await isRefused(`http://127.0.0.1:${port}`)).toBe(false);
  });

  it('says that a port is taken, and how to choose another one', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const { ready } = start({ PORT: String(port) });
    await expect(ready).rejects.toThrow(
      `Port ${port} is taken by another program. Choose another one: PORT=${port + 1} npm start`,
    );
    await new Promise((resolve) => server.close(resolve));
  });

  it('says what is wrong with its settings', async () => {
    const { ready } = start({ PORT: 'eighty' });
    await expect(ready).rejects.toThrow('PORT must be an integer from 0 to 65535, not "eighty"');
  });

  it('says that a model is missing', async () => {
    const { ready } = start({
      PORT: '0',
      BUNDLE: '',
      CHECKPOINT: path.join(folder, 'nothing'),
    });
    await expect(ready).rejects.toThrow('is not a model: it has no model_index.json.');
  });
});
